"""What a trial reads of its victim. Whole trials: tests/cli/test_experiment.py."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.victim import end_of


def written(directory: Path, data: bytes) -> Path:
    path = directory / "output"
    path.write_bytes(data)
    return path


def test_a_short_output_is_read_whole(tmp_path: Path) -> None:
    assert end_of(written(tmp_path, b"one\ntwo"), 100) == "one\ntwo"
    assert end_of(written(tmp_path, b""), 100) == ""


def test_of_a_long_output_the_last_whole_lines_are_read(tmp_path: Path) -> None:
    # Cut in the middle, `latency 12` would be read as `2`, or `12` as `2`.
    assert end_of(written(tmp_path, b"latency 12\nlatency 34\n"), 13) == "latency 34\n"


def test_one_endless_line_gives_nothing_rather_than_a_part_of_a_number(tmp_path: Path) -> None:
    assert end_of(written(tmp_path, b"1" * 50), 10) == ""


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    assert end_of(written(tmp_path, b"a\xff\n"), 10) == "a\ufffd\n"


@given(st.binary(max_size=60), st.integers(1, 20))
def test_never_more_than_the_limit_and_always_the_end(data: bytes, limit: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        text = end_of(written(Path(directory), data), limit)
    assert data.decode(errors="replace").endswith(text)
    assert len(text) <= max(limit, 0)
