"""Commands started inside a cgroup: nothing of them runs before they are in it."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.sandbox.cgroups import Group
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.sandbox.strays import MARK
from probes.errors import JostleError

# The shell waits for a line, which comes when it has been moved and pinned, then becomes the command: 0.7 to 1.3 ms
# more than the command alone, in either arm.
_GATE = 'read -r _ || exit 125; exec </dev/null; exec /bin/sh -c "$0"'
# poll(2) counts milliseconds in an int: 24 days.
_LONGEST_POLL_MS = 2**31 - 1
_MOST_NAMED = 3

Output = Path | int | None
"""Where a command's output goes: to a new file, to an open descriptor, or where jostle's own goes."""


@dataclass(frozen=True, slots=True)
class Command:
    """A started command: `release` lets it run, `pidfd` becomes readable when it ends."""

    popen: "subprocess.Popen[bytes]"
    pidfd: int
    text: str
    group: Group

    def release(self) -> float:
        """Let it run; returns when, by CLOCK_MONOTONIC in seconds."""
        gate = self.popen.stdin
        if gate is None:
            raise RuntimeError("a command is released once")
        start_s = time.monotonic()
        try:
            gate.write(b"\n")
            gate.close()
        except BrokenPipeError:
            raise JostleError(f"the command {self.text!r} was killed before it could start") from None
        return start_s

    def is_over(self) -> bool:
        """Whether it runs no more. One that ended well but left processes in its cgroup went to the background."""
        code = self.popen.poll()
        return code is not None and (code != 0 or not self.group.pids())

    def goes_on(self) -> bool:
        """Whether it has ended well while processes in its cgroup go on; to be asked once it has ended."""
        return self.popen.poll() == 0 and bool(self.group.pids())

    def left(self) -> str:
        """Who is in its cgroup, in words: `sleep (PID 42), tee (PID 43) and 3 others`."""
        pids = self.group.pids()
        named = [f"{_comm(pid)} (PID {pid})" for pid in sorted(pids)[:_MOST_NAMED]]
        others = len(pids) - len(named)
        return ", ".join(named) + (f" and {others} more" if others else "")

    def ending(self) -> str:
        """How it ended, in words; it must have been reaped."""
        code = self.popen.returncode
        return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

    def close(self) -> None:
        """Reap it. Its cgroup must have been stopped; should it have left that cgroup, it is killed here."""
        if self.popen.stdin and not self.popen.stdin.closed:
            self.popen.stdin.close()
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        os.close(self.pidfd)


def start(text: str, group: Group, cpus: Sequence[int] | None, stdout: Output, stderr: Output) -> Command:
    """Start a shell command in a cgroup, pinned, and hold it at the gate.

    Raises:
        JostleError: It cannot be put there.
        OSError: An output file cannot be made, or there is no process left to be had.
    """
    with contextlib.ExitStack() as files:
        out, err = (
            files.enter_context(_made(where)) if isinstance(where, Path) else where
            for where in (stdout, stderr)
        )
        popen = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, text],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            start_new_session=True,
            bufsize=0,
            env={**os.environ, MARK: group.path},
        )
    try:
        group.add(popen.pid)
        if cpus is not None:
            os.sched_setaffinity(popen.pid, cpus)
        return Command(popen, os.pidfd_open(popen.pid), text, group)
    except BaseException:
        popen.kill()
        popen.communicate()
        raise


def is_server(pids: Iterable[int], root: Path = Path("/")) -> bool:
    """Whether one of these processes listens on a TCP or UNIX socket (proc(5), proc_pid_net(5); st 0A is TCP_LISTEN).

    Who does is there to be asked by others, and ends only when it is told to.
    """
    return any(_sockets(root / "proc" / str(pid)) & _listening(root / "proc" / str(pid)) for pid in pids)


def _sockets(process: Path) -> set[str]:
    """The inodes of a process's open sockets; none of one that has ended."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(process / "fd"):  # noqa: PTH208  a Path for each is 10 times as slow
            with contextlib.suppress(OSError):
                kind, _, inode = os.readlink(f"{process}/fd/{descriptor}").partition(":")  # noqa: PTH115  see above
                found |= {inode.strip("[]")} if kind == "socket" else set()
    return found


def _listening(process: Path) -> set[str]:
    """The inodes of the sockets that listen in the network namespace of a process."""
    found = set()
    for name, state, is_listening, inode in (
        ("tcp", 3, "0A", 9),
        ("tcp6", 3, "0A", 9),
        ("unix", 3, "00010000", 6),  # __SO_ACCEPTCON, include/uapi/linux/net.h
    ):
        with contextlib.suppress(OSError):
            rows = (
                line.split() for line in (process / "net" / name).read_text(errors="replace").splitlines()
            )
            found |= {row[inode] for row in rows if len(row) > inode and row[state] == is_listening}
    return found


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "a process"


def _made(path: Path) -> BinaryIO:
    """A new, private file: what lies there already is not written to, and no link followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def wait_for_first(
    commands: Sequence[Command], timeout_s: float, interrupts: Interrupts | None = None
) -> Command | None:
    """The first of these to end, or None after `timeout_s`; costs nothing while it waits.

    Raises:
        Interrupted: There was a signal, now or before.
    """
    poller = select.poll()
    for command in commands:
        poller.register(command.pidfd, select.POLLIN)
    if interrupts is not None:
        poller.register(interrupts.fileno(), select.POLLIN)
    ready = {descriptor for descriptor, _ in poller.poll(min(max(0.0, timeout_s) * 1000, _LONGEST_POLL_MS))}
    if interrupts is not None:
        interrupts.check()
    return next((command for command in commands if command.pidfd in ready), None)


def interrupted_within(interrupts: Interrupts, timeout_s: float) -> bool:
    """Whether there was a signal before so many seconds were over, or before that."""
    try:
        wait_for_first([], timeout_s, interrupts)
    except Interrupted:
        return True
    return False
