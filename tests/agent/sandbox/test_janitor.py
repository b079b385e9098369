"""What the janitor writes back when jostle is no more."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.janitor import Janitor, outstanding
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
    frozen, gone = tmp_path / "cgroup.freeze", tmp_path / "gone/cgroup.freeze"
    frozen.write_text("1")
    with Janitor(()) as janitor:
        janitor._tell(gone, "0")
        janitor._tell(frozen, "0")
    assert frozen.read_text() == "0"
    assert not gone.exists()


def test_a_file_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    told = pytest.raises(JostleError, match=r"nosuch/cgroup\.freeze")
    with Janitor(()) as janitor, told, janitor.changed(tmp_path / "nosuch/cgroup.freeze", "1", "0"):
        pass


files = st.sampled_from(["/a", "/b", "/c"])


@given(st.lists(st.tuples(files, st.none() | st.sampled_from(["0", "THAWED"]))))
def test_the_last_word_on_each_file_counts(told: list[tuple[str, str | None]]) -> None:
    import json

    left = outstanding([json.dumps(line).encode() + b"\n" for line in told])
    expected = {Path(file): after for file, after in told if after is not None}
    last = dict(told)
    assert left == {file: last[str(file)] for file in expected if last[str(file)] is not None}
