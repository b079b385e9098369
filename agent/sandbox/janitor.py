"""A process that outlives jostle: when jostle dies, whatever way, it undoes what jostle was in the middle of.

    python -m agent.sandbox.janitor DIRECTORY…

First it writes back what jostle had changed for the time of a trial (a frozen cgroup is thawed, a quota lifted),
then it kills what runs in jostle's own cgroups, and what left them, and removes them. It waits for the end of its
standard input, which only jostle's death or its word closes; before, each line tells of one change: a JSON list of the
file and what to write back, or null when jostle has done it itself. It runs in a session of its own and ignores the
terminal's signals, and it imports next to nothing, so that it starts in 30 ms and takes 10 MB.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agent.sandbox.cgroups import Group
from agent.sandbox.strays import end_marked
from probes.errors import JostleError
from probes.isolated import python


class Janitor:
    """Runs beside an experiment; a context manager. On a normal end it finds nothing left to do."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = [str(directory) for directory in directories]

    def __enter__(self) -> "Janitor":
        self._process = subprocess.Popen(
            python("agent.sandbox.janitor", *self._directories),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
            cwd="/",
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    @contextlib.contextmanager
    def changed(self, file: Path, during: str, after: str) -> Iterator[None]:
        """Within it a cgroup's `file` holds `during`; then `after`, also should jostle be killed.

        A file that is gone by then, with its cgroup, needs no writing back.

        Raises:
            JostleError: It cannot be written, or the janitor is no more: then nothing is changed.
        """
        self._tell(file, after)
        try:
            _write(file, during)
            yield
        finally:
            # Should the writing fail, the line below is not reached, and the janitor tries again.
            if file.exists():
                _write(file, after)
            self._tell(file, None)

    def _tell(self, file: Path, after: str | None) -> None:
        # One write of less than PIPE_BUF: the janitor never reads half a line, whenever jostle is killed.
        line = json.dumps([str(file), after]).encode() + b"\n"
        try:
            if self._process.stdin:
                self._process.stdin.write(line)
        except BrokenPipeError:
            if after is not None:
                raise JostleError(
                    "the process that cleans up after jostle was killed: nothing is frozen or capped without it",
                    "run the experiment again",
                ) from None


def outstanding(lines: Iterable[bytes]) -> Mapping[Path, str]:
    """What is still to be written back to which file, the change made last first."""
    changes: dict[Path, str] = {}
    for line in lines:
        file, after = json.loads(line)
        changes.pop(Path(file), None)
        if after is not None:
            changes[Path(file)] = after
    return dict(reversed(changes.items()))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="ascii")
    except OSError as error:
        raise JostleError(
            f"cannot write {text!r} to {file} ({error.strerror})", "is its cgroup still there, and writable?"
        ) from error


def main() -> None:
    """Wait, then clean; what is gone already is not an error."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for file, after in outstanding(sys.stdin.buffer).items():
        with contextlib.suppress(OSError):
            file.write_text(after, encoding="ascii")
    left = Group("what jostle left", tuple(map(Path, sys.argv[1:])))
    left.stop()
    end_marked({directory.name for directory in left.directories})
    left.stop()
    left.remove()


if __name__ == "__main__":
    main()
