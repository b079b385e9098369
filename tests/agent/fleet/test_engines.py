"""What an engine cannot do is told by its own reason: nobody is told to take a file away that is sound."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.fleet.engines import duckdb_connection, explained
from probes.errors import JostleError, UsageError

LARGE = "SELECT count(*) FROM (SELECT hash(range) h, range FROM range(20000000) ORDER BY h OFFSET 1)"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 30 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.root
@pytest.mark.parametrize(
    "settings", ["SELECT 1", "SET max_temp_directory_size = '10GB'"], ids=["full", "fills"]
)
def test_a_disk_without_room_is_no_damaged_dataset(small_disk: Path, settings: str) -> None:
    """As one that is full from the begin, and as one that somebody else fills meanwhile, which DuckDB cannot know."""
    with closing(duckdb_connection(small_disk, "60MB")) as db:
        db.execute(settings)
        with pytest.raises(JostleError, match="TMPDIR") as told, explained():
            db.execute(LARGE).fetchall()
    assert not isinstance(told.value, UsageError)


def test_a_damaged_file_is_not_to_be_removed_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with (
        closing(duckdb_connection(tmp_path, "60MB")) as db,
        pytest.raises(UsageError, match="move it away"),
        explained(),
    ):
        db.execute(f"SELECT * FROM read_parquet('{tmp_path}/a.parquet')")  # noqa: S608  our own path
