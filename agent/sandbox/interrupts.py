"""Ctrl-C, SIGTERM and SIGHUP: jostle ends at once, or, where it holds something, at a place of its choosing.

An exception that a signal handler raises can come up in the middle of anything, also of cleaning up, and is lost
when that happens to be a finaliser. So an experiment or a recording only remembers the signal, and asks for it
where it waits; those are the only places where it is meant to spend time.

Should it stand still elsewhere, in a file of the kernel's or a pipe that does not answer, no handler of Python's runs:
a thread that a signal wakes all the same ends the process then. What it held, the janitor puts back.
"""

import atexit
import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any, NoReturn

from probes.privilege import give_up_all

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_INTERRUPTED = 130
# For so long after a signal the main thread may stand at one place: what it ends itself takes it at most 1 s each.
STILL_S = 3.0
_LOOK_S = 0.1
_signalled = threading.Event()


class Interrupted(BaseException):
    """The user, or the system, wants an end."""


def raise_on_signals() -> None:
    """From now on these signals raise Interrupted wherever jostle is: for work that leaves nothing behind."""
    _handle(_interrupt)


def end_when_still(numbers: Collection[int], stood_s: float = math.inf) -> None:
    """From now on one of these signals ends this process should the caller, its main thread, stand still after it.

    That is at one place for STILL_S, or at several for `stood_s` in all.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    # Written to by the C handler, in whatever thread it runs.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(
        target=_watch, args=(reader, numbers, threading.get_ident(), stood_s), daemon=True
    ).start()
    atexit.register(_end_by_default, numbers)


def _end_by_default(numbers: Collection[int]) -> None:
    """While Python ends it runs neither threads nor handlers, and nobody may read what it flushes then."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if _signalled.is_set():
        signal.alarm(round(STILL_S))


def _watch(reader: int, numbers: Collection[int], thread: int, most_s: float) -> None:
    give_up_all()  # the agent keeps none, in no thread
    while os.read(reader, 1)[0] not in numbers:
        pass
    _signalled.set()
    place, stood_s, looked_s = _place(thread), 0.0, time.monotonic()
    since_s = looked_s
    while looked_s - since_s < STILL_S and stood_s < most_s:
        time.sleep(_LOOK_S)
        now, before_s, looked_s = _place(thread), looked_s, time.monotonic()
        if now == place:
            stood_s += looked_s - before_s
        else:
            place, since_s = now, looked_s
    _end(place)


def _place(thread: int) -> list[tuple[str, str, int]]:
    """Where a thread is, innermost first: function, file, and position in its byte code."""
    frame, place = sys._current_frames().get(thread), []  # noqa: SLF001  documented, the only way to look
    while frame is not None:
        place.append((frame.f_code.co_name, frame.f_code.co_filename, frame.f_lasti))
        frame = frame.f_back
    return place


def _end(place: list[tuple[str, str, int]]) -> NoReturn:
    where = f" ({place[0][0]} in {os.path.basename(place[0][1])})" if place else ""  # noqa: PTH119  no Path is needed
    text = f"jostle: ended without what it waited for, which does not answer{where}\n"
    with contextlib.suppress(OSError, ValueError):
        # Standard error may be what does not answer.
        if select.select([], [2], [], 0)[1]:
            os.write(2, text.encode("ascii", "replace"))
    os._exit(EXIT_INTERRUPTED)


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
