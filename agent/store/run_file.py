"""The run file: windows of one recording in SQLite, counters and histograms, never percentiles.

A file is written under `NAME.partial` and gets its name when it is complete, so a name without `.partial` always
holds a whole recording. Each window is one transaction: what was committed survives any end of the process.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.documents.codec import Kind, Record, decode, encode
from agent.documents.event import Episode
from agent.store.files import cannot_write, is_shared, make_private, own_directory
from agent.store.opening import PARTIAL_SUFFIX, open_to_read, require_own_sides
from agent.store.packing import DAMAGE
from agent.store.windows import WindowWriter, create_tables, facts, insert_facts, windows
from collectors.windows.sched import SchedWindow
from probes.errors import JostleError, UsageError

# Of the records that `pack` writes, which have had one form since the first version.
_FACTS = "jostle.run/1"


@dataclass(frozen=True, slots=True)
class Run:
    """A recording: what was said about it when it began, and its windows in order.

    `partial` is true when the recording did not come to its planned end. `events` are what the agent found meanwhile,
    None where nobody judged.
    """

    meta: Mapping[str, str]
    windows: tuple[SchedWindow, ...]
    partial: bool
    events: tuple[Episode, ...] | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the recorder found worth telling."""
        return self.record("notes", Notes).warnings if "notes" in self.meta else ()

    def record(self, key: str, kind: type[Kind]) -> Kind:
        """What `pack` made of a record.

        Raises:
            UsageError: There is no such key, or its value is no such record.
        """
        try:
            return decode(kind, json.loads(self.meta[key]), _FACTS)
        except (LookupError, ValueError, RecursionError) as error:
            raise UsageError(f"the run file says nothing readable of {key!r}", "record again") from error


class Notes(Record, frozen=True):
    """What a recorder found worth telling, each once: the record `notes` of `meta`."""

    warnings: tuple[str, ...]


def pack(record: Record) -> str:
    """A record as the value of a key of `meta`."""
    return json.dumps(encode(record, _FACTS))


def end_utc_ns(window: SchedWindow) -> int:
    """When a window that has just ended did so, in ns since the epoch."""
    return time.time_ns() - (time.monotonic_ns() - window.end_ns)


class RunWriter:
    """Writes a run file; a context manager.

    `finish` or `keep_partial` gives the file its name. Any other end leaves the `.partial` one, unless not even one
    window was written.
    """

    def __init__(self, path: Path, meta: Mapping[str, str]) -> None:
        """Begin.

        Raises:
            UsageError: The file exists already, is being written, or cannot be made there.
            JostleError: There is no room for it.
        """
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        self._worthless = True
        _create(self._partial)
        try:
            _require_absent(path)
            self._db = sqlite3.connect(self._partial)
            # Killed, a process leaves what it gave to the kernel. Only a crash of the host could lose it, and
            # waiting for its disk in every window would disturb what is being measured.
            self._db.execute("PRAGMA synchronous = OFF")
            if is_shared(self._partial.parent):
                # Others may put a journal beside it: in this mode SQLite looks for one once, and the file is empty yet.
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            with self._transaction() as db:
                create_tables(db)
                insert_facts(db, 1, meta.items())
            require_own_sides(self._partial)
            self._windows = WindowWriter(self._db, recording=1)
        except BaseException:
            self._partial.unlink()
            raise

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_error: object) -> None:
        self._db.close()
        if self._worthless:
            self._partial.unlink(missing_ok=True)

    def append(self, window: SchedWindow) -> None:
        """Commit one window.

        Raises:
            JostleError: It cannot be written (a full disk); what was committed before stays.
        """
        with self._transaction():
            self._windows.insert(window, end_utc_ns(window))
        self._worthless = False

    def note(self, key: str, value: str) -> None:
        """Write down something that is known only later. Raises as `append` does."""
        with self._transaction() as db:
            insert_facts(db, 1, [(key, value)])

    def finish(self) -> None:
        """Mark the recording as complete and give the file its name. Raises as `append` does."""
        self.note("complete", "1")
        self.keep_partial()

    def keep_partial(self) -> None:
        """End early: the file gets its name, and says inside that it is partial."""
        self._db.close()
        self._partial.rename(self._path)
        self._worthless = False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as error:
            raise JostleError(f"cannot write to {self._partial} ({error})", "is the disk full?") from error


def read_run(path: Path) -> Run:
    """Read a run file, complete or partial.

    Raises:
        UsageError: There is no such file, it is not a run file, is damaged, or of another version.
    """
    if not path.is_file():
        raise UsageError(f"there is no run file {path}", "give a file that `jostle record -o` wrote")
    try:
        with closing(open_to_read(path)) as db:
            meta = facts(db, [1])
            found = tuple(window for _, window in windows(db))
            return Run(meta=meta, windows=found, partial="complete" not in meta)
    except UsageError as error:
        raise UsageError(
            f"{path} is not a run file that can be read: {error.message}", error.remedy
        ) from error
    except DAMAGE as error:
        raise UsageError(f"{path} is not a run file, or damaged ({error})", "record again") from error


def _create(path: Path) -> None:
    try:
        own_directory(path.parent)
        os.close(make_private(path))
    except OSError as error:
        if path.is_file():
            raise UsageError(
                f"{path} exists: it is being written, or was left by a recording that was killed",
                "choose another name, or remove it",
            ) from error
        raise cannot_write(path, error) from error


def _require_absent(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists already", "choose another name, or remove it")
