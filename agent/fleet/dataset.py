"""Which files of a dataset hold each hour once, for readers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.fleet.place import Folder, Place
from agent.fleet.schema import DAY_S, HOUR_S, SCHEMA, TABLES, VERSION
from probes.errors import UsageError

STEM = r"\w[\w.-]*"
"""What a file may be called that a shipper or a compaction wrote; others' names go into no query."""
_NAME = re.compile(
    rf"{VERSION}/\w+/date=(?P<day>\d{{4}}-\d\d-\d\d)/(?:hour=(?P<hour>\d\d)/)?(?P<stem>{STEM})\.parquet",
    re.ASCII,
)
_MANIFEST = re.compile(rf"{VERSION}/manifest/date=(?P<day>[-\d]+)\.(?P<generation>\d+)\.json")
_AT_ONCE = 16


class Manifest(msgspec.Struct, frozen=True):
    """The compacted files of a day by table, and which hours' files they stand for: `HH/NAME`, of all tables."""

    generation: int
    files: Mapping[str, tuple[str, ...]]
    sources: frozenset[str]
    written_s: int
    bytes: int
    schema: str = SCHEMA


NOTHING = Manifest(0, {}, frozenset(), 0, 0)


class Part(NamedTuple):
    """What a file's name says: its day; of an hour's file the hour, and `HH/NAME`, by which manifests name it."""

    day: str
    hour: int | None
    source: str | None


def parts(name: str) -> Part | None:
    """What a name in a dataset says; None: it is no file of a table."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    hour = found["hour"]
    if hour is None:
        return Part(found["day"], None, None)
    return Part(found["day"], int(hour), f"{hour}/{found['stem']}")


def manifests(place: Place) -> dict[str, Manifest]:
    """The newest manifest of each day that has one.

    Raises:
        UsageError: One cannot be read.
    """
    newest: dict[str, str] = {}
    for name in place.names(f"{VERSION}/manifest"):
        if found := _MANIFEST.fullmatch(name):
            newest[found["day"]] = max(newest.get(found["day"], ""), name)  # their numbers have six digits
    return {day: _manifest(place, name) for day, name in newest.items()}


def _manifest(place: Place, name: str) -> Manifest:
    try:
        return msgspec.json.decode(place.get(name) or b"", type=Manifest)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{name} is no manifest ({error})", "remove it, and compact again") from error


def files(place: Place, since_s: float | None, until_s: float | None) -> dict[str, list[str]]:
    """The files of each table that hold what is between two times, each hour once.

    Raises:
        UsageError: There is no dataset, or nothing in it.
    """
    known = manifests(place)
    found = {
        table: sorted(_read(list(place.names(f"{VERSION}/{table}")), table, known, since_s, until_s))
        for table in TABLES
    }
    if not found["hosts"]:
        raise UsageError(
            "the dataset holds nothing of that time",
            "give a DATASET that `jostle ship` wrote, or another --since",
        )
    return found


def _read(
    names: Sequence[str],
    table: str,
    known: Mapping[str, Manifest],
    since_s: float | None,
    until_s: float | None,
) -> Iterator[str]:
    for name in names:
        if (part := parts(name)) is None:
            continue
        manifest = known.get(part.day, NOTHING)
        begin_s = day_s(part.day) + (part.hour or 0) * HOUR_S
        end_s = begin_s + (DAY_S if part.hour is None else HOUR_S)
        if (since_s is not None and end_s <= since_s) or (until_s is not None and begin_s >= until_s):
            continue
        if part.source not in manifest.sources if part.source else name in manifest.files.get(table, ()):
            yield name


def day_s(day: str) -> int:
    """Begin of a day of UTC, in seconds since the epoch."""
    year, month, number = map(int, day.split("-"))
    return round(datetime(year, month, number, tzinfo=UTC).timestamp())


def local(place: Place, wanted: Mapping[str, Sequence[str]], cache: Path) -> dict[str, list[str]]:
    """Paths that every engine can read; an object store's files are copied to `cache`, but for those that are there."""
    if isinstance(place, Folder):
        return {table: [str(place.root / name) for name in names] for table, names in wanted.items()}
    kept = Folder(cache)

    def copied(name: str) -> str:
        path = kept.root / name
        if not path.exists():  # a name's content never changes
            content = place.get(name)
            if content is None:
                raise UsageError(f"{name} was removed while it was read", "ask again")
            kept.put(name, content)
        return str(path)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {table: list(pool.map(copied, names)) for table, names in wanted.items()}
