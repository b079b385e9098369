"""Asks a service at fixed moments and says how long each answer took, in a process of its own.

    python -m agent.experiment.prober http|command TARGET

Open loop: a request begins when it is due, whether or not those before it were answered, and is timed from that
moment, so that a victim that stands still is not asked less. A line per request: `NUMBER SECONDS WHY`, WHY
being empty where it was answered well; the first line says when number 0 was due, by CLOCK_MONOTONIC.

It runs before all others, or its own waits for a CPU would pass for the victim's; what it starts does not.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

INTERVALS_S = {"http": 0.01, "command": 0.05}
TIMEOUT_S = 1.0
MOST_AT_ONCE = 100
_LONGEST_ANSWER = 1 << 20


async def ask_http(url: str) -> str:
    """One GET on a connection of its own; why it failed, empty where it did not."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None
    )
    try:
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nUser-Agent: jostle\r\n\r\n".encode())
        status = (await reader.readline()).split()
        left = _LONGEST_ANSWER
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)
    finally:
        writer.close()
    return "" if len(status) > 1 and status[1] < b"500" else f"status {status[1:2]}"


async def ask_command(command: str) -> str:
    """One run of a command; why it failed, empty where it did not."""
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_shell(command, stdin=null, stdout=null, stderr=null)
    try:
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return f"exit code {code}" if code else ""


async def probe(ask: Callable[[str], Awaitable[str]], target: str, interval_s: float) -> None:
    """Ask for ever."""
    running: set[asyncio.Task[None]] = set()
    began_s = time.monotonic() + interval_s

    async def one(number: int) -> None:
        why = "too many are not answered"
        if len(running) <= MOST_AT_ONCE:
            try:
                why = await asyncio.wait_for(ask(target), TIMEOUT_S)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error) or "no answer"
            except TimeoutError:
                why = f"no answer within {TIMEOUT_S:g} s"
        _say(f"{number} {time.monotonic() - began_s - number * interval_s:.6f} {why}")

    _say(f"{began_s:.6f}")
    number = 0
    while True:
        await asyncio.sleep(began_s + number * interval_s - time.monotonic())
        task = asyncio.create_task(one(number))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def main() -> None:
    """Probe until nobody reads."""
    kind, target = sys.argv[1:]
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(probe(ask_http if kind == "http" else ask_command, target, INTERVALS_S[kind]))


if __name__ == "__main__":
    main()
