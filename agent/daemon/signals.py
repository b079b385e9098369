"""SIGTERM, SIGINT, SIGHUP and SIGUSR1 of the daemon: remembered where they come, taken up where the loop waits."""

import contextlib
import os
import select
import signal
from types import FrameType

ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
SIGNALS = ENDING | {signal.SIGHUP, signal.SIGUSR1}


class Signals:
    """Within it these signals only set `ending`, `reload_wanted` or `dump_wanted`, and end `wait`; a context manager.

    They are unblocked within it, so that `interrupts.end_when_still` sees them where the loop hangs.
    """

    ending = False
    reload_wanted = False
    dump_wanted = False

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers = {number: signal.signal(number, self._remember) for number in SIGNALS}
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def __exit__(self, *_error: object) -> None:
        """A signal that comes later is for an agent that has ended."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Until a signal comes, at most that long; then `ending`, `reload_wanted` or `dump_wanted` says which."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            os.read(self._reader, select.PIPE_BUF)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if number in ENDING:
            self.ending = True
        elif number == signal.SIGUSR1:
            self.dump_wanted = True
        else:
            self.reload_wanted = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")
