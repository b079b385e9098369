"""What lies beside a database, and who has it open, is looked at while files come and go."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.store.history import holder, locked
from agent.store.opening import require_own_sides
from tests.cli.running import eventually

LOOKS = 5000


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Somebody does it again and again."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            act()

    other = threading.Thread(target=go_on)
    other.start()
    try:
        yield
    finally:
        over.set()
        other.join()


def test_a_journal_that_comes_and_goes_is_there_or_not(tmp_path: Path) -> None:
    written, journal = tmp_path / "a.run.partial", tmp_path / "a.run.partial-journal"
    written.touch()
    write_windows = "import pathlib, sys\np = pathlib.Path(sys.argv[1])\nwhile True: p.touch(), p.unlink()"
    with subprocess.Popen([sys.executable, "-c", write_windows, journal]) as writer:
        try:
            assert eventually(journal.exists)
            found = {require_own_sides(written) for _ in range(LOOKS)}
        finally:
            writer.kill()
    assert found == {(), (journal,)}


def test_who_holds_a_lock_is_told_while_it_opens_and_closes_other_files(tmp_path: Path) -> None:
    free = os.open(tmp_path, os.O_RDONLY)  # so that the others have a lower number than the lock
    lock = locked(tmp_path / "history.db")
    os.close(free)
    try:
        with meanwhile(lambda: os.close(os.open(tmp_path, os.O_RDONLY))):
            assert {holder(tmp_path / "history.db") for _ in range(LOOKS // 10)} == {os.getpid()}
    finally:
        os.close(lock)
