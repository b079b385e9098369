"""SIGTERM, SIGINT and SIGHUP of the daemon: taken up where the loop waits, and nowhere else."""

import signal

_END = frozenset({signal.SIGTERM, signal.SIGINT})
SIGNALS = _END | {signal.SIGHUP}


class Signals:
    """Within it these signals wait until they are asked for, in all threads that begin in it; a context manager."""

    ending = False
    reload_wanted = False

    def __enter__(self) -> "Signals":
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        return self

    def __exit__(self, *_error: object) -> None:
        """A signal that still waits is for an agent that has ended."""
        while signal.sigtimedwait(SIGNALS, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, seconds: float) -> None:
        """Until a signal comes, at most that long; then `ending` or `reload_wanted` says which."""
        found = signal.sigtimedwait(SIGNALS, max(0.0, seconds))
        if found is None:
            return
        if found.si_signo in _END:
            self.ending = True
        else:
            self.reload_wanted = True
