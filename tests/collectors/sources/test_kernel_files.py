"""Files that are read again and again: kept open or not, changing, vanishing, coming back."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources.kernel_files import (
    _LOOK_AGAIN,
    MAX_BYTES,
    FileFigures,
    FilePool,
    KernelFile,
    flat,
    single,
)

SPEC = KernelFile(("count",), ("count",), single)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("most_open", [0, 1])
def test_what_changes_is_read_again(tmp_path: Path, most_open: int) -> None:
    path = tmp_path / "count"
    file = FilePool(most_open).file(SPEC, str(tmp_path))
    for number in (1, 1, 2):
        path.write_text(f"{number}\n")
        assert file.read() == (number,)
    file.close()


def test_a_descriptor_is_kept_while_there_is_room_and_given_back(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "count").write_text("1\n")
    pool = FilePool(2)
    files = [pool.file(SPEC, str(tmp_path / name)) for name in "abc"]
    before = open_files()
    assert [file.read() for file in files] == [(1,)] * 3
    assert open_files() == before  # who knows whether they are read again?
    assert [file.read() for file in files] == [(1,)] * 3
    assert open_files() == before + 2
    files[0].close()
    files[0].close()
    assert files[2].read() == (1,)
    assert open_files() == before + 2
    for file in files:
        file.close()
    assert (open_files(), pool.room) == (before, 2)


def test_it_is_parsed_only_when_it_has_changed(tmp_path: Path) -> None:
    parsed: list[str] = []

    def parse(text: str, _path: str) -> FileFigures:
        parsed.append(text)
        return (len(parsed),)

    file = FilePool(0).file(KernelFile(("count",), ("count",), parse), str(tmp_path))
    for text in ("1\n", "1\n", "2\n"):
        (tmp_path / "count").write_text(text)
        file.read()
    assert parsed == ["1\n", "2\n"]


def test_a_stamp_that_stays_saves_the_reading(tmp_path: Path) -> None:
    file = FilePool(0).file(SPEC, str(tmp_path))
    (tmp_path / "count").write_text("1\n")
    assert file.read("calm") == (1,)
    (tmp_path / "count").write_text("2\n")
    assert file.read("calm") == (1,)
    assert file.read("else") == (2,)
    (tmp_path / "count").write_text("3\n")
    assert file.read(None) == (3,)
    (tmp_path / "count").write_text("4\n")
    assert file.read("else") == (4,)


def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    file = FilePool(0).file(SPEC, str(tmp_path))
    assert isinstance(file.read()[0], Missing)
    assert not file.exists
    (tmp_path / "count").write_text("3\n")
    assert (3,) in [file.read() for _ in range(_LOOK_AGAIN + 1)]
    assert file.exists
    (tmp_path / "count").unlink()
    (found,) = file.read()
    assert found == Missing(f"{tmp_path}/count does not exist")


def test_one_reason_stands_for_all_files_of_a_directory_that_is_not_there(tmp_path: Path) -> None:
    nowhere = Missing("the cgroup is gone")
    pool = FilePool(0, nowhere)
    there, gone = (pool.file(SPEC, str(tmp_path / name)) for name in ("there", "gone"))
    (tmp_path / "there").mkdir()
    assert there.read() == (Missing(f"{tmp_path}/there/count does not exist"),)
    assert gone.read() == (nowhere,)
    (tmp_path / "gone").write_text("no directory")
    assert pool.file(SPEC, str(tmp_path / "gone")).read() == (nowhere,)


def test_a_directory_that_is_not_there_is_looked_for_less_and_less_often(tmp_path: Path) -> None:
    def found_at(made_before: int) -> int:
        """In which reading a directory is found that is made before reading number `made_before`."""
        place = tmp_path / str(made_before)
        directory = FilePool(0, nowhere).directory((SPEC, SPEC), str(place))
        for number in range(made_before):
            assert directory.read() == [(nowhere,), (nowhere,)], number
        place.mkdir()
        (place / "count").write_text("7\n")
        return next(n for n in range(made_before, 1000) if directory.read() == [(7,), (7,)])

    nowhere = Missing("the cgroup is gone")
    looks = [found_at(made_before) for made_before in range(100)]
    assert sorted(set(looks)) == [0, 2, 6, 14, 30, 61, 92, 123]
    assert max(later - earlier for earlier, later in enumerate(looks)) == _LOOK_AGAIN


def test_the_first_file_of_a_directory_that_went_speaks_for_all(tmp_path: Path) -> None:
    nowhere = Missing("the cgroup is gone")
    (tmp_path / "a").mkdir()
    for name in ("count", "other"):
        (tmp_path / "a" / name).write_text("7\n")
    directory = FilePool(0, nowhere).directory(
        (SPEC, KernelFile(("other",), ("n",), single)), str(tmp_path / "a")
    )
    stamps = {"other": "calm"}
    assert directory.read(stamps) == [(7,), (7,)]
    for name in ("count", "other"):
        (tmp_path / "a" / name).unlink()
    (tmp_path / "a").rmdir()
    assert directory.read(stamps) == [(nowhere,), (nowhere,)]


@pytest.mark.kernel
def test_a_cgroup_that_is_removed_and_made_again_under_its_open_files() -> None:
    mount = next(
        Path(line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if " - cgroup2 " in line
    )
    directory = mount / f"jostle-test-{os.getpid()}"
    pool = FilePool(1)
    file = pool.file(KernelFile(("cgroup.stat",), ("n",), flat("nr_descendants")), str(directory))
    directory.mkdir()
    try:
        assert file.read() == (0,)
        directory.rmdir()
        assert isinstance(file.read()[0], Missing)
        assert pool.room == 1
        directory.mkdir()
        assert file.read() == (0,)
        directory.rmdir()
        directory.mkdir()  # between two readings
        assert file.read() == (0,)
    finally:
        file.close()
        directory.rmdir()


def test_the_first_of_several_names_that_exists(tmp_path: Path) -> None:
    file = FilePool(0).file(KernelFile(("new", "old"), ("count",), single), str(tmp_path))
    (tmp_path / "old").write_text("1\n")
    assert file.read() == (1,)
    (tmp_path / "new").write_text("2\n")
    assert file.read() == (2,)


def test_a_file_that_is_too_large_or_a_directory_is_missing(tmp_path: Path) -> None:
    (tmp_path / "count").write_bytes(b"1" * MAX_BYTES)
    assert isinstance(FilePool(0).file(SPEC, str(tmp_path)).read()[0], Missing)
    (tmp_path / "a/count").mkdir(parents=True)
    assert isinstance(FilePool(0).file(SPEC, str(tmp_path / "a")).read()[0], Missing)
    assert isinstance(FilePool(0).file(SPEC, "/nul\0").read()[0], Missing)


@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "b_a"]), st.integers(0, 2**64 - 1)))
def test_flat_finds_each_key_and_no_other(table: dict[str, int]) -> None:
    text = "".join(f"{key} {number}\n" for key, number in table.items())
    for key, found in zip(("a", "b", "ab", "c"), flat("a", "b", "ab", "c")(text, "f"), strict=True):
        assert found == table[key] if key in table else isinstance(found, Missing)


@pytest.mark.parametrize("text", ["a 1", "a\n", "a -1\n", "a 1 2\n", "xa 1\n", "a  1\n", "a 1.0\n", ""])
def test_flat_takes_no_nonsense(text: str) -> None:
    assert isinstance(flat("a")(text, "f")[0], Missing)
