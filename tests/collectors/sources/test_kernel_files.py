"""Files that are read again and again: changing, vanishing, coming back."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources.kernel_files import (
    _LONGEST_PAUSE,
    MAX_BYTES,
    AbsentFile,
    FileFigures,
    FileReader,
    KernelFile,
    flat,
    single,
)

SPEC = KernelFile(("count",), ("count",), single)


def open_below(directory: Path) -> int:
    """How many files of a directory this process has open."""
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(link.is_relative_to(directory) for link in links)


@pytest.mark.parametrize("keep_below", [0, 1 << 20])
def test_what_changes_is_read_again(tmp_path: Path, keep_below: int) -> None:
    path = tmp_path / "count"
    file = FileReader(SPEC, str(tmp_path), keep_below=keep_below)
    for number in (1, 1, 2):
        path.write_text(f"{number}\n")
        assert file.read() == (number,)


def test_nothing_stays_open_unless_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("1\n")
    file = FileReader(SPEC, str(tmp_path))
    for _ in range(3):
        file.read()
    assert open_below(tmp_path) == 0


def test_a_descriptor_that_is_small_enough_is_kept_from_the_second_reading_on(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "count").write_text("1\n")
    free = os.dup(0)
    os.close(free)  # the next that the kernel gives
    files = [FileReader(SPEC, str(tmp_path / name), keep_below=free + 1) for name in "abc"]
    assert [file.read() for file in files] == [(1,)] * 3
    assert open_below(tmp_path) == 0  # who knows whether they are read again?
    assert [file.read() for file in files] == [(1,)] * 3
    assert open_below(tmp_path) == 1
    files.clear()
    assert open_below(tmp_path) == 0


def test_it_is_parsed_only_when_it_has_changed(tmp_path: Path) -> None:
    parsed: list[str] = []

    def parse(text: str, _path: str) -> FileFigures:
        parsed.append(text)
        return (len(parsed),)

    file = FileReader(KernelFile(("count",), ("count",), parse), str(tmp_path))
    for text in ("1\n", "1\n", "2\n"):
        (tmp_path / "count").write_text(text)
        file.read()
    assert parsed == ["1\n", "2\n"]


def test_a_change_token_that_stays_saves_the_reading(tmp_path: Path) -> None:
    file = FileReader(SPEC, str(tmp_path))
    (tmp_path / "count").write_text("1\n")
    assert file.read("one") == (1,)
    (tmp_path / "count").write_text("2\n")
    assert file.read("one") == (1,)
    assert file.read("other") == (2,)
    (tmp_path / "count").write_text("3\n")
    assert file.read(None) == (3,)
    (tmp_path / "count").write_text("4\n")
    assert file.read("other") == (4,)


def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    file = FileReader(SPEC, str(tmp_path))
    assert isinstance(file.read()[0], Missing)
    assert not file.exists
    (tmp_path / "count").write_text("3\n")
    assert (3,) in [file.read() for _ in range(2)]
    assert file.exists
    (tmp_path / "count").unlink()
    (found,) = file.read()
    assert found == Missing(f"{tmp_path}/count does not exist")


@pytest.mark.parametrize("missing", ["file", "directory"])
def test_what_is_not_there_is_looked_for_less_and_less_often(tmp_path: Path, missing: str) -> None:
    gone = Missing("the cgroup is gone")

    def found_at(made_before: int) -> int:
        """In which reading a file is found that is made before reading number `made_before`."""
        place = tmp_path / str(made_before)
        if missing == "file":
            place.mkdir()
        file = FileReader(SPEC, str(place), gone)
        for number in range(made_before):
            assert (file.read() == (gone,)) is (missing == "directory"), number
        place.mkdir(exist_ok=True)
        (place / "count").write_text("7\n")
        return next(n for n in range(made_before, 1000) if file.read() == (7,))

    looks = [found_at(made_before) for made_before in range(100)]
    assert sorted(set(looks)) == [0, 2, 6, 14, 30, 61, 92, 123]
    assert max(later - earlier for earlier, later in enumerate(looks)) == _LONGEST_PAUSE


def test_one_reason_stands_for_a_file_whose_directory_is_not_there(tmp_path: Path) -> None:
    gone = Missing("the cgroup is gone")
    (tmp_path / "there").mkdir()
    there, nowhere = (FileReader(SPEC, str(tmp_path / name), gone) for name in ("there", "gone"))
    assert there.read() == (Missing(f"{tmp_path}/there/count does not exist"),)
    assert nowhere.read() == (gone,)
    assert (there.nowhere, nowhere.nowhere) == (False, True)
    (tmp_path / "gone").write_text("no directory")
    assert FileReader(SPEC, str(tmp_path / "gone"), gone).read() == (gone,)


def test_of_the_files_of_no_directory_one_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_file = os.open

    def counted(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return open_file(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counted)
    first = FileReader(SPEC, str(tmp_path / "pod"), Missing("gone"))
    other = FileReader(KernelFile(("other",), ("other",), single), str(tmp_path / "pod"), beside=first)

    def reading() -> list[object]:
        return [*first.read("token"), *other.read("token")]

    assert reading() == [Missing("gone"), Missing(f"{tmp_path}/pod/other does not exist")]
    assert opened == [f"{tmp_path}/pod/count"]
    for number in (1, 2):  # what was made again under the same token is another
        (tmp_path / "pod").mkdir()
        (tmp_path / "pod/count").write_text(f"{number}\n")
        (tmp_path / "pod/other").write_text(f"{number}\n")
        assert next(found for _ in range(9) if isinstance((found := reading())[0], int)) == [number, number]
        shutil.rmtree(tmp_path / "pod")
        first.read()
        other.read()


def test_a_file_that_the_host_cannot_have_says_why() -> None:
    why = Missing("it is not mounted")
    two = KernelFile(("stat",), ("a", "b"), flat("a", "b"))
    assert AbsentFile(two, why).read("token") == (why, why)


@pytest.mark.kernel
@pytest.mark.parametrize("keep_below", [0, 1 << 20])
def test_a_cgroup_that_is_removed_and_made_again_even_under_its_open_files(keep_below: int) -> None:
    mount = next(
        Path(line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if " - cgroup2 " in line
    )
    directory = mount / f"jostle-test-{os.getpid()}"
    spec = KernelFile(("cgroup.stat",), ("n",), flat("nr_descendants"))
    file = FileReader(spec, str(directory), keep_below=keep_below)
    directory.mkdir()
    try:
        assert file.read() == (0,)
        directory.rmdir()
        assert isinstance(file.read()[0], Missing)
        directory.mkdir()
        assert file.read() == (0,)
        directory.rmdir()
        directory.mkdir()  # between two readings
        assert file.read() == (0,)
    finally:
        directory.rmdir()


def test_the_first_of_several_names_that_exists(tmp_path: Path) -> None:
    file = FileReader(KernelFile(("new", "old"), ("count",), single), str(tmp_path))
    (tmp_path / "old").write_text("1\n")
    assert file.read() == (1,)
    (tmp_path / "new").write_text("2\n")
    assert file.read() == (2,)


def test_a_file_that_is_too_large_or_a_directory_is_missing(tmp_path: Path) -> None:
    (tmp_path / "count").write_bytes(b"1" * MAX_BYTES)
    assert isinstance(FileReader(SPEC, str(tmp_path)).read()[0], Missing)
    (tmp_path / "a/count").mkdir(parents=True)
    assert isinstance(FileReader(SPEC, str(tmp_path / "a")).read()[0], Missing)
    assert isinstance(FileReader(SPEC, "/nul\0").read()[0], Missing)


@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "b_a"]), st.integers(0, 2**64 - 1)))
def test_flat_finds_each_key_and_no_other(table: dict[str, int]) -> None:
    text = "".join(f"{key} {number}\n" for key, number in table.items())
    for key, found in zip(("a", "b", "ab", "c"), flat("a", "b", "ab", "c")(text, "f"), strict=True):
        assert found == table[key] if key in table else isinstance(found, Missing)


@pytest.mark.parametrize("text", ["a 1", "a\n", "a -1\n", "a 1 2\n", "xa 1\n", "a  1\n", "a 1.0\n", ""])
def test_flat_takes_no_nonsense(text: str) -> None:
    assert isinstance(flat("a")(text, "f")[0], Missing)
