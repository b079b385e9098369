"""Ctrl-C, SIGTERM and SIGHUP: jostle ends at once, or, where it holds something, at a place of its choosing.

An exception that a signal handler raises can come up in the middle of anything, also of cleaning up, and is lost
when that happens to be a finaliser. So an experiment or a recording only remembers the signal, and asks for it
where it waits; those are the only places where it spends time.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user, or the system, wants an end."""


def raise_on_signals() -> None:
    """From now on these signals raise Interrupted wherever jostle is: for work that leaves nothing behind."""
    _handle(_interrupt)


class Interrupts:
    """Within it signals only set `requested` and make `fileno()` readable, for good; a context manager."""

    requested = False

    def __enter__(self) -> "Interrupts":
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = _handle(self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)
        if self.requested and isinstance(error, Exception):
            # The terminal's Ctrl-C also reaches children such as the compiler: their failing is its echo.
            raise Interrupted from error

    def fileno(self) -> int:
        """A descriptor that becomes readable when a signal has arrived."""
        return self._reader

    def check(self) -> None:
        """Raise Interrupted if there was a signal."""
        if self.requested:
            raise Interrupted

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Set the handler, except where a signal is ignored, as nohup and shells' background jobs want it."""
    wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in wanted}
