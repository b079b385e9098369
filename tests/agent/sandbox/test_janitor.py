"""What the janitor writes back when jostle is no more."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.janitor import Janitor, _line
from agent.sandbox.leases import Change, parse_lease
from probes.errors import JostleError


def test_a_change_lasts_for_the_block_and_is_undone_after_it(tmp_path: Path) -> None:
    file = tmp_path / "cgroup.freeze"
    file.write_text("0")
    with Janitor(()) as janitor:
        with janitor.changed(file, "1", "0"):
            assert file.read_text() == "1"
        assert file.read_text() == "0"
        file.write_text("somebody else's")
    # The janitor ended, and found nothing left to do.
    assert file.read_text() == "somebody else's"


def test_a_change_is_undone_when_the_block_fails(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text("max 100000")
    oops = pytest.raises(ValueError, match="oops")
    with Janitor(()) as janitor, oops, janitor.changed(file, "1000 100000", "max 100000"):
        raise ValueError("oops")
    assert file.read_text() == "max 100000"


def test_what_jostle_did_not_undo_the_janitor_does(tmp_path: Path) -> None:
    frozen, gone = tmp_path / "cgroup.freeze", tmp_path / "gone.freeze"
    frozen.write_text("1")
    inode, descriptor = tmp_path.stat().st_ino, os.open(tmp_path, os.O_RDONLY)
    with Janitor(()) as janitor:
        for file in (gone, frozen):
            janitor._ask(_line("change", str(file), inode, "1", "0"), descriptor)
    os.close(descriptor)
    assert frozen.read_text() == "0"
    assert not gone.exists()
    assert not janitor._lease.path.exists()


def test_a_file_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    told = pytest.raises(JostleError, match=r"cannot open .*nosuch")
    with Janitor(()) as janitor, told, janitor.changed(tmp_path / "nosuch/cgroup.freeze", "1", "0"):
        pass


files = st.sampled_from(["/a", "/b", "/c"])


@given(st.lists(st.tuples(files, st.none() | st.sampled_from(["0", "THAWED"]))), st.integers(0, 30))
def test_the_last_word_on_each_file_counts(words: list[tuple[str, str | None]], cut: int) -> None:
    lines = [
        _line(*(("undone", file, 7) if after is None else ("change", file, 7, "1", after))).decode()
        for file, after in words
    ]
    torn = _line("change", "/a", 7, "1", "torn").decode()[:cut]  # of whoever was killed
    last = dict(words)
    assert parse_lease([*lines, torn]).changes == {
        (file, 7): Change(file, 7, "1", after) for file, after in last.items() if after is not None
    }


def test_a_change_is_put_back_at_its_deadline_whatever_jostle_says(tmp_path: Path) -> None:
    file = tmp_path / "cgroup.freeze"
    file.write_text("0")
    with Janitor(()) as janitor, janitor.changed(file, "1", "0", 0.1):
        deadline_s = time.monotonic() + 60
        while file.read_text() == "1":
            assert time.monotonic() < deadline_s
            janitor.renew()
            time.sleep(0.01)
        assert janitor.expired() is not None


def test_a_cgroup_is_one_experiments_alone() -> None:
    claim = (
        "import sys; from agent.sandbox.janitor import Janitor\nwith Janitor(()) as j: j.claim(sys.argv[1:])"
    )

    def another(*paths: str) -> str:
        words = [sys.executable, "-c", claim, *paths]
        return subprocess.run(words, capture_output=True, text=True, check=False).stderr

    name = f"/jtest-{os.getpid()}"
    with Janitor(()) as janitor:
        janitor.claim([f"{name}/api", f"{name}/batch"])
        assert f"runs an experiment on {name}/batch/inner" in another(f"{name}/batch/inner")
        assert f"runs an experiment on {name}" in another(name)
        assert another(f"{name}/other") == ""
    assert another(f"{name}/api") == ""
