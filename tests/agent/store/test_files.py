"""Files that are whole or not there."""

import os
import threading
from pathlib import Path

import pytest

from agent.store.files import append_line, write_whole
from probes.errors import JostleError, UsageError


def test_it_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new/report.md"
    write_whole(path, "one\n")
    write_whole(path, "two\n")
    assert path.read_text() == "two\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.md"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_somebody_else_makes_meanwhile_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of a store's files are written by several threads, into directories that are new."""
    is_there = os.path.lexists

    def made_after_the_look(path: Path) -> bool:
        found = is_there(path)
        if not found and path.name in {"new", "deep"}:
            path.mkdir()
        return found

    monkeypatch.setattr(os.path, "lexists", made_after_the_look)
    write_whole(tmp_path / "new/deep/report.md", "one\n")
    assert (tmp_path / "new/deep/report.md").read_text() == "one\n"


def test_a_link_keeps_pointing_at_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced_by_a_file(tmp_path: Path) -> None:
    # As root, a rename over /dev/null would take it away from the whole machine.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "report")
    reader.join()
    assert read == ["report"]
    assert pipe.is_fifo()


def test_text_that_cannot_be_encoded_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.md"]


def test_a_badly_chosen_place_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file/below"):
        with pytest.raises(UsageError, match=f"cannot write {place}"):
            write_whole(place, "text")


def test_a_full_disk_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.store.files.os.fdopen", full)
    with pytest.raises(JostleError, match="No space left") as raised:
        write_whole(tmp_path / "report.md", "text")
    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_added_to_a_series_and_to_nothing_else(tmp_path: Path) -> None:
    series, other = tmp_path / "a.csv", tmp_path / "b.csv"
    for line in ("", "1,2\n", "3,4\n"):
        append_line(series, "x,y\n", line)
    assert series.read_text() == "x,y\n1,2\n3,4\n"
    other.write_text("my notes\n")
    with pytest.raises(UsageError, match="is not a series of verdicts"):
        append_line(other, "x,y\n", "1,2\n")
    assert other.read_text() == "my notes\n"


@pytest.mark.parametrize("place", ["directory", "fifo", "/dev/null"])
def test_a_series_is_a_plain_file(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == "directory":
        path.mkdir()
    if place == "fifo":
        os.mkfifo(path)
    with pytest.raises(UsageError):
        append_line(path, "x,y\n", "1,2\n")
