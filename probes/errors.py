"""The exceptions that end a command, each with the exit code of the contract, and what the kernel's refusals become.

    JostleError             1   failed: says what, where and what to do
    ├── UsageError          2   bad usage, bad input, a bad config or run file
    ├── HostError           3   this host cannot do it; carries the remedy
    └── HostChangedError    1   this host is no longer the one that was measured

They live in the leftmost package so that every package can raise them; only the command line catches them.
"""

import errno
import os
import re
from pathlib import Path


class JostleError(Exception):
    """A failure that is reported in one line on standard error, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message}: {self.remedy}"


class UsageError(JostleError):
    """The user asked for something that makes no sense; nothing was started."""

    exit_code = 2


class HostError(JostleError):
    """The host lacks a privilege or a kernel feature."""

    exit_code = 3


class HostChangedError(JostleError):
    """The host is no longer the one that the probes were made for; who starts again measures it."""


LOCKDOWN = Path("/sys/kernel/security/lockdown")

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_NO_MEMORY = frozenset({errno.ENOMEM})
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})
SHORTAGES = _NO_DESCRIPTORS | _NO_MEMORY
"""What is not a judgement of a program."""


def refusal(what: str, error: OSError) -> JostleError:
    """The kernel's refusal, with what helps against it."""
    said = error.strerror or str(error)
    if error.errno in _NO_DESCRIPTORS:
        return JostleError(f"{what} failed: {said}", "raise the limit on open files (ulimit -n)")
    if error.errno in _NO_MEMORY:
        return JostleError(
            f"{what} failed: {said}", "free memory, or raise the limit of the cgroup this runs in"
        )
    if error.errno in _FORBIDDEN:
        return HostError(f"{what} was refused: {said}", locked_down() or _UNPRIVILEGED)
    return JostleError(f"{what} failed: {said}", "see dmesg, and report this")


def refusal_in(what: str, text: str) -> JostleError | None:
    """The refusal in a message that holds the words of a known error's number; None when it holds none."""
    for number in (*_FORBIDDEN, *SHORTAGES):
        if os.strerror(number) in text:
            return refusal(what, OSError(number, os.strerror(number)))
    return None


def locked_down(state: Path | None = None) -> str | None:
    """The remedy where the kernel is locked down (kernel_lockdown(7)); None where it is not, or has no such state."""
    try:
        text = (state or LOCKDOWN).read_text(encoding="ascii", errors="replace")
    except OSError:  # securityfs is not mounted, or the kernel has no lockdown
        return None
    mode = re.search(r"\[(\w+)\]", text)
    if mode is None or mode[1] == "none":
        return None
    return f"the kernel is locked down ({mode[1]}): boot it without, or measure with --tier schedstat"


_UNPRIVILEGED = (
    "run as root on the host itself; a container needs CAP_BPF and CAP_PERFMON; --tier schedstat does without"
)
