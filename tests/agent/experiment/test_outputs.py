"""How much of a command's output is read, and how much is kept."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.outputs import KEPT_BEGINNING, OUTPUT_LIMIT, bound, end_of


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


def test_of_an_output_of_gigabytes_both_ends_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "output"
    with path.open("wb") as file:  # sparse: it takes no room
        file.write(b"first\n")
        file.seek(1 << 30)
        file.write(b"\nlatency 12\n")
    read_before = end_of(path)
    bound(path)
    kept = path.read_bytes()
    assert len(kept) <= KEPT_BEGINNING + OUTPUT_LIMIT + 100
    assert kept.startswith(b"first\n")
    assert b"bytes left out by jostle]" in kept
    assert end_of(path).endswith("\nlatency 12\n")
    assert read_before.endswith("latency 12\n")


@given(st.integers(0, 3), st.integers(1, 2000))
def test_what_is_left_out_is_counted(lines_beyond: int, width: int) -> None:
    import tempfile

    line = b"x" * width + b"\n"
    count = (KEPT_BEGINNING + OUTPUT_LIMIT) // len(line) + lines_beyond
    with tempfile.TemporaryDirectory() as directory:
        path = written(Path(directory), line * count)
        bound(path)
        kept = path.read_bytes()
    if len(line) * count <= KEPT_BEGINNING + OUTPUT_LIMIT:
        assert kept == line * count
        return
    beginning, _, rest = kept.partition(b"\n[")
    left_out, _, ending = rest.partition(b" bytes left out by jostle]\n")
    assert len(beginning) + int(left_out) + len(ending) == len(line) * count
    assert ending.startswith(line)


def test_only_a_file_of_that_name_is_bounded(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"\n" * (KEPT_BEGINNING + OUTPUT_LIMIT + 1))
    (tmp_path / "output").symlink_to(precious)
    bound(tmp_path / "output")
    bound(tmp_path / "missing")
    assert precious.stat().st_size == KEPT_BEGINNING + OUTPUT_LIMIT + 1
