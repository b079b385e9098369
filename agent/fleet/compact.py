"""Compaction: the hours of a day that is over as a few large files, each sorted by workload.

The new files are written under names of a new generation, which no reader looks for; then a manifest names them, with
the hours' files that they stand for: from that moment on readers take those instead, all at once. What they stand for
is removed by a later compaction, when whoever began to read before has ended. What comes late is in no manifest: it is
read beside the compacted files, and goes into the next generation.

Hours are rewritten in pieces of whole hosts that can be sorted in memory, so that memory and time for a host are the
same in a fleet of any size. A piece that comes out large is a file; those that do not are put together, and with the
last file of the generation before. The other files of that one stay.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from agent.fleet.dataset import NOTHING, Manifest, day_s, local, manifests, parts
from agent.fleet.engines import duckdb_connection, duckdb_rows, explained, quoted
from agent.fleet.place import Place
from agent.fleet.schema import DAY_S, TABLES, VERSION

LATE_S = 2 * 3600
"""How long after a day's end its hosts may take to ship its last hour, before it is compacted."""
GRACE_S = 6 * 3600
"""How long files that a manifest no longer names stay, for those who read them."""
_FILE_BYTES = 128 << 20
# Of hosts with 300 cgroups 78, with 4.2 million rows, which take 3 GB while they are sorted and 139 MB as a file.
_PIECE_BYTES = 184 << 20
# Of each that is open DuckDB has up to 180 KB beside its limit.
_PIECE_FILES = 4096
# Of each in a dataset a reader has 70 KB in memory, and whoever asks for a workload reads one or two of each file.
_ROW_GROUP = 245_760
# Who asks for a workload then reads few of the row groups.
_SORTED_BY = {"cgroups": "workload, host, cgroup, time_s", "pairs": "aggressor, victim, host"}


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done to one day."""

    day: str
    sources: int
    files: int
    bytes: int
    removed: int


def compact(place: Place, now_s: float | None = None, memory: str = "4GB") -> list[Compacted]:
    """Compact every day that is over and has hours that no manifest stands for; remove what is long replaced.

    Raises:
        UsageError: A manifest, or a file that is to be rewritten, cannot be read.
        JostleError: It cannot be written: what was there before still holds.
    """
    now_s = time.time() if now_s is None else now_s
    known = manifests(place)
    names = {table: list(place.names(f"{VERSION}/{table}")) for table in TABLES}
    days: dict[str, dict[str, list[str]]] = {}
    for table, found in names.items():
        for name in found:
            if (part := parts(name)) is not None:
                days.setdefault(part.day, {each: [] for each in TABLES})[table].append(name)
    done = []
    for day, by_table in sorted(days.items()):
        manifest = known.get(day, NOTHING)
        removed = _remove_replaced(place, manifest, by_table, now_s)
        new = {
            part.source for name in by_table["hosts"] if (part := parts(name)) and part.source
        } - manifest.sources
        if new and now_s >= day_s(day) + DAY_S + LATE_S:
            after = _compact_day(place, day, manifest, by_table, now_s=int(now_s), memory=memory)
            files = [name for each in after.files.values() for name in each]
            done.append(Compacted(day, len(after.sources), len(files), after.bytes, removed))
        elif removed:
            done.append(Compacted(day, 0, 0, 0, removed))
    return done


def _compact_day(
    place: Place,
    day: str,
    before: Manifest,
    by_table: Mapping[str, Sequence[str]],
    *,
    now_s: int,
    memory: str,
) -> Manifest:
    """Write the next generation of a day, then its manifest."""
    number = before.generation + 1
    # A shipment writes `hosts` last: an hour that is in it is in all tables.
    sources = {part.source for name in by_table["hosts"] if (part := parts(name)) and part.source}
    with (
        TemporaryDirectory(prefix="jostle-compact-") as scratch,
        closing(duckdb_connection(Path(scratch), memory)) as db,
        explained(),
    ):
        # Of two compactions at once each has files of its own.
        made = _Generation(place, day, f"{number:06d}-{token_hex(4)}", db, Path(scratch), before.bytes)
        for table in TABLES:
            known = [name for name in before.files.get(table, ()) if parts(name)]
            made.add(table, known, list(_hours(by_table[table], sources - before.sources)))
    after = Manifest(
        generation=number,
        files={table: tuple(names) for table, names in made.files.items()},
        sources=frozenset(sources | before.sources),
        written_s=now_s,
        bytes=made.bytes,
    )
    place.put(f"{VERSION}/manifest/date={day}.{number:06d}.json", msgspec.json.encode(after))
    return after


@dataclass(slots=True)
class _Generation:
    """The files of a day, while they are written.

    Attributes:
        bytes: Of all files.
        files: Their names by table. But for the last they are large.
    """

    place: Place
    day: str
    prefix: str
    db: Any  # DuckDB's types are not followed
    scratch: Path
    bytes: int
    files: dict[str, list[str]] = field(default_factory=dict)

    def add(self, table: str, known: Sequence[str], hours: Sequence[str]) -> None:
        """A table's files: those that are known, with these hours."""
        self.files[table] = list(known[:-1])
        last, small = list(known[-1:]), list[Path]()
        for number, paths in enumerate(_pieces(self.place, table, hours, self.scratch / "hours")):
            piece = self.scratch / f"{table}-{number}.parquet"
            self._sort(table, paths, piece)
            if piece.stat().st_size < _FILE_BYTES:
                small.append(piece)
            else:
                self._put(table, piece)
        if last and not small:
            self.files[table] += last
        elif len(last) + len(small) > 1 or not (small or self.files[table]):
            small = self._together(table, last, small)
        for path in small:
            self._put(table, path)

    def _sort(self, table: str, paths: Sequence[str], target: Path) -> None:
        """Write a piece."""
        import duckdb

        try:
            self._copy(table, duckdb_rows(table, paths, alike=True), target)
        except (duckdb.BinderException, duckdb.InvalidInputException):  # from older shippers, or damaged
            self._copy(table, duckdb_rows(table, paths), target)

    def _together(self, table: str, last: Sequence[str], small: Sequence[Path]) -> list[Path]:
        """What is in files that are not large, the largest first; where there are none, a file without rows."""
        known = local(self.place, {table: last}, self.scratch / "last")[table]
        self.bytes -= sum(Path(path).stat().st_size for path in known)
        target = self.scratch / table
        self._copy(
            table,
            duckdb_rows(table, [*known, *map(str, small)]),
            target,
            f", FILE_SIZE_BYTES {_FILE_BYTES}",
        )
        for path in small:
            path.unlink()
        return sorted(target.iterdir(), key=lambda path: -path.stat().st_size)

    def _copy(self, table: str, rows: str, target: Path, more: str = "") -> None:
        """By as many threads as there are CPUs to a file; by one where a size is given, to files in a directory."""
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}{more}"
        self.db.execute(f"COPY ({_sorted(table, rows)}) TO '{quoted(str(target))}' ({options})")

    def _put(self, table: str, path: Path) -> None:
        name = f"{VERSION}/{table}/date={self.day}/{self.prefix}-{len(self.files[table])}.parquet"
        self.bytes += path.stat().st_size
        self.place.put(name, path)
        path.unlink()
        self.files[table].append(name)


def _pieces(place: Place, table: str, names: Sequence[str], copies: Path) -> Iterator[list[str]]:
    """Paths of these files, so many whole hosts at once that their rows can be sorted in memory."""
    paths, size = list[str](), 0
    for _, of_host in groupby(sorted(names, key=_host), _host):
        found = local(place, {table: list(of_host)}, copies)[table]
        paths += found
        size += sum(Path(path).stat().st_size for path in found)
        if size >= _PIECE_BYTES or len(paths) >= _PIECE_FILES:
            yield paths
            shutil.rmtree(copies, ignore_errors=True)
            paths, size = [], 0
    if paths:
        yield paths


def _host(name: str) -> str:
    """Whose hour a file is: the same in all of the host's files."""
    return PurePosixPath(name).name.rsplit(".", 2)[0]


def _sorted(table: str, rows: str) -> str:
    if table == "pairs":
        # Of a whole day: who waited for whom in which of its hours, nobody asks later.
        keys = [
            field.name for field in TABLES[table] if field.name not in {"time_s", "wait_ns", "preemptions"}
        ]
        sums = f"min(time_s) // {DAY_S} * {DAY_S} AS time_s"
        columns = ", ".join(sums if field.name == "time_s" else field.name for field in TABLES[table][:-2])
        rows = (
            f"SELECT {columns}, sum(wait_ns)::BIGINT AS wait_ns, sum(preemptions)::BIGINT AS preemptions "  # noqa: S608  our own words
            f"FROM ({rows}) GROUP BY {', '.join(keys)}"
        )
    return f"SELECT * FROM ({rows}) ORDER BY {_SORTED_BY.get(table, 'host, time_s')}"  # noqa: S608  our own words


def _hours(names: Sequence[str], sources: set[str]) -> Iterator[str]:
    yield from (name for name in names if (part := parts(name)) and part.source in sources)


def _remove_replaced(
    place: Place, manifest: Manifest, by_table: Mapping[str, Sequence[str]], now_s: float
) -> int:
    """Files that the newest manifest stands for, or that an older one, or a compaction that was killed, left."""
    if manifest is NOTHING or now_s < manifest.written_s + GRACE_S:
        return 0
    removed = 0
    for table, names in by_table.items():
        named = set(manifest.files.get(table, ()))
        for name in names:
            part = parts(name)
            if part and (part.source in manifest.sources if part.source else name not in named):
                place.delete(name)
                removed += 1
    return removed
