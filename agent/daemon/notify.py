"""systemd as the supervisor: readiness and the watchdog by sd_notify(3), lines with a level for the journal."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO

from agent.daemon.service import LOOK_AROUND_S, Service, Unsupervised

# sd-daemon(3): what the journal takes for a line's level, and strips.
WARNING, NOTICE, INFO = "<4>", "<5>", "<6>"


class Systemd:
    """The manager at the other end of a notification socket. What it does not hear does not stop the agent."""

    def __init__(self, address: str, watchdog_s: float | None, say: Callable[[str, str], None]) -> None:
        # A leading @ stands for the zero byte of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._say = say
        # sd_watchdog_enabled(3) recommends half of it; with a quarter, two may be late.
        self.alive_every_s = watchdog_s / 4 if watchdog_s else LOOK_AROUND_S

    def inform(self, text: str) -> None:
        """Write one line of level info."""
        self._say(INFO, text)

    def warn(self, text: str) -> None:
        """Write one line of level warning."""
        self._say(WARNING, text)

    def ready(self) -> None:
        """Tell systemd that the agent has started, or has reloaded its configuration."""
        self._send("READY=1\nSTATUS=Recording.")

    def alive(self) -> None:
        """Reset systemd's watchdog: the agent is not stuck."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Tell systemd that a reload has begun; `ready` follows. The time is for units of Type=notify-reload."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell systemd that the agent has begun to end."""
        self._send("STOPPING=1\nSTATUS=Ending.")

    def _send(self, state: str) -> None:
        # A socket for each, a few times a minute: there is none to close when the agent ends, or to repair.
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sending:
            sending.sendto(state.encode(), self._address)


def supervisor(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Service:
    """Who started this process: systemd, if it says so in the environment, or a person.

    `say` prints one harmless line on standard error.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Unsupervised(say)
    leveled = is_journal(sys.stderr, environ)
    return Systemd(
        address,
        watchdog_s(environ, os.getpid()),
        lambda level, text: say(f"{level if leveled else ''}{text}"),
    )


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """After how long without a sign of life this process is killed; None: never (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdigit() and int(usec) else None


def is_journal(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream goes to the journal itself, which takes levels: device and inode are in JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
