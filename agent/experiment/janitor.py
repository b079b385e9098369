"""A process that outlives jostle: when jostle dies, whatever way, it kills and removes what jostle had made.

    python -m agent.experiment.janitor DIRECTORY…

It waits for the end of its standard input, which only jostle's death or its word closes. It runs in a session of
its own and ignores the terminal's signals, and it imports next to nothing, so that it starts in 30 ms and takes
10 MB.
"""

import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from agent.experiment.trial_cgroups import Group


class Janitor:
    """Runs beside an experiment; a context manager. On a normal end it finds nothing left to do."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = [str(directory) for directory in directories]

    def __enter__(self) -> "Janitor":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.experiment.janitor", *self._directories],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=Path(__file__).parent.parent.parent,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Wait, then clean; what is gone already is no error."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    left = Group("what jostle left", tuple(map(Path, sys.argv[1:])))
    left.stop()
    left.remove()


if __name__ == "__main__":
    main()
