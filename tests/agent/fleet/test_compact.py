"""Compaction: readers see every hour once, before, meanwhile and after; counted."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from agent.fleet.ask import Asked, ask
from agent.fleet.compact import GRACE_S, LATE_S, compact
from agent.fleet.dataset import files, manifests, parts
from agent.fleet.place import Folder
from agent.fleet.schema import DAY_S
from benchmarks.fleet_sim import BEGIN_S, simulate
from probes.errors import UsageError

OVER_S = BEGIN_S + DAY_S + LATE_S


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet")
    simulate(path, hosts=3, hours=2, fillers=1)
    return path


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Folder:
    shutil.copytree(made, tmp_path / "data")
    return Folder(tmp_path / "data")


def answers(place: Folder) -> tuple[object, ...]:
    """What is the same before and after; the files that were read are not."""
    found = ask(place, Asked(("aggressors", "victims", "coverage")))
    return tuple(
        tuple({k: round(v, 9) if isinstance(v, float) else v for k, v in row.items()} for row in answer.rows)
        for answer in found.answers
    )


def test_a_day_that_is_over_becomes_a_few_files_with_the_same_answers(dataset: Folder) -> None:
    before = answers(dataset)
    assert compact(dataset, OVER_S - 1) == []
    (done,) = compact(dataset, OVER_S)
    assert (done.day, done.sources, done.files) == ("2026-06-01", 6, 5)
    assert answers(dataset) == before
    names = [name for each in files(dataset, None, None).values() for name in each]
    assert len(names) == 5
    assert all(part and part.hour is None for part in map(parts, names))
    assert compact(dataset, OVER_S) == []
    (later,) = compact(dataset, OVER_S + GRACE_S)
    assert later.removed == 6 * 4  # no hour has an incident
    assert answers(dataset) == before


def test_what_comes_late_is_read_beside_it_and_goes_into_the_next(dataset: Folder) -> None:
    before = answers(dataset)
    late = list(dataset.root.rglob("hour=01/host-00001.*"))
    assert len(late) == 4
    kept = {path: path.read_bytes() for path in late}
    for path in late:
        path.unlink()
    compact(dataset, OVER_S)
    assert answers(dataset) != before
    for path, content in kept.items():
        path.write_bytes(content)
    assert answers(dataset) == before
    (done,) = compact(dataset, OVER_S)
    assert done.sources == 6
    assert manifests(dataset)["2026-06-01"].generation == 2
    assert answers(dataset) == before
    compact(dataset, OVER_S + GRACE_S)
    assert answers(dataset) == before


def rows(paths: Sequence[Path]) -> pa.Table:
    """Of all of these files, as pyarrow reads each by itself, in one order."""
    found = pa.concat_tables(
        [parquet.ParquetFile(path).read() for path in paths], promote_options="permissive"
    )
    # Whether a cell may be null is not the same in all files.
    found = found.cast(pa.schema([each.with_nullable(nullable=True) for each in found.schema]))
    return found.sort_by([(name, "ascending") for name in found.column_names])


def read(place: Folder, table: str) -> list[Path]:
    """What readers take."""
    return [place.root / name for name in files(place, None, None)[table]]


@pytest.mark.parametrize("large", [1, 12_000, 128 << 20])
def test_rows_are_the_same_in_many_pieces_and_each_file_is_sorted(
    large: int, dataset: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {table: rows(read(dataset, table)) for table in ("cgroups", "hosts", "host_windows")}
    waits = rows(read(dataset, "pairs")).group_by(["host", "victim", "aggressor"])
    pairs = waits.aggregate([("wait_ns", "sum"), ("preemptions", "sum")])
    late = {path: path.read_bytes() for path in dataset.root.rglob("hour=01/host-00001.*")}
    for path in late:
        path.unlink()
    monkeypatch.setattr("agent.fleet.compact._PIECE_FILES", 2)  # the hours of a host
    monkeypatch.setattr("agent.fleet.compact._FILE_BYTES", large)
    compact(dataset, OVER_S)
    first = set(read(dataset, "cgroups"))
    for path, content in late.items():
        path.write_bytes(content)
    (done,) = compact(dataset, OVER_S)
    compact(dataset, OVER_S + GRACE_S)
    assert {table: rows(read(dataset, table)) for table in before} == before
    again = rows(read(dataset, "pairs")).group_by(["host", "victim", "aggressor"])
    assert rows_of(again.aggregate([("wait_ns", "sum"), ("preemptions", "sum")])) == rows_of(pairs)
    for path in read(dataset, "cgroups"):
        columns = parquet.read_table(path, columns=["workload", "host", "cgroup", "time_s"])
        assert columns.equals(columns.sort_by([(name, "ascending") for name in columns.column_names]))
    there = list(dataset.root.rglob("*.parquet"))
    assert done.files == len(there)
    assert done.bytes == sum(path.stat().st_size for path in there)
    # What was large stays; what was not is in other files now.
    assert (len(first & set(read(dataset, "cgroups"))) > 0) == (large < 128 << 20)


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    """In one order."""
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.parametrize("older", ["host-*", "host-00000.*", "host-00001.*"])
def test_a_column_that_older_shippers_did_not_write_is_null(older: str, dataset: Folder) -> None:
    count = 0
    for path in (dataset.root / "v1/cgroups").rglob(f"{older}.parquet"):
        found = parquet.ParquetFile(path).read()
        count += found.num_rows
        parquet.write_table(found.drop_columns(["writes"]), path)
    before = answers(dataset)
    compact(dataset, OVER_S)
    assert rows(read(dataset, "cgroups"))["writes"].null_count == count
    assert answers(dataset) == before


class Killed(BaseException):
    """Ends a compaction as a kill does."""


@pytest.mark.parametrize("write", [3, 6])
def test_killed_at_a_write_readers_see_what_was_there(write: int, dataset: Folder) -> None:
    before = answers(dataset)

    class Dying(Folder):
        left = write

        def put(self, name: str, content: bytes | Path) -> None:
            self.left -= 1
            if not self.left:
                raise Killed
            super().put(name, content)

    with pytest.raises(Killed):
        compact(Dying(dataset.root), OVER_S)
    assert answers(dataset) == before
    compact(dataset, OVER_S)
    assert answers(dataset) == before
    compact(dataset, OVER_S + GRACE_S)
    assert len(list(dataset.root.rglob("*.parquet"))) == 5
    assert answers(dataset) == before


def test_a_manifest_that_is_none_is_told(dataset: Folder) -> None:
    dataset.put("v1/manifest/date=2026-06-01.000001.json", b"{}")
    with pytest.raises(UsageError, match="no manifest"):
        files(dataset, None, None)
