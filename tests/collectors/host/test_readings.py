import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import (
    U64_MAX,
    Missing,
    delta,
    missing_in,
    parse_count,
    read_count,
    read_lines,
    read_text,
    scaled,
    since,
)

NONSENSE = [
    "",
    "\n",
    "max\n",
    "-1\n",
    "1.5\n",
    "1 2\n",
    "1_000\n",
    "٣\n",
    "0x10\n",
    str(U64_MAX + 1) + "\n",
    "9" * 5000,
]


@dataclass(frozen=True, slots=True)
class Counters:
    periods: int | Missing
    throttled_ns: int | Missing


@given(st.integers(min_value=0, max_value=U64_MAX))
def test_what_the_kernel_prints_parses_to_what_it_meant(value: int) -> None:
    assert parse_count(f"{value}") == value


@given(st.text())
def test_whatever_parses_is_a_64_bit_count(text: str) -> None:
    value = parse_count(text)
    assert value is None or (0 <= value <= U64_MAX and text.lstrip("0") == str(value).lstrip("0"))


@pytest.mark.parametrize("content", NONSENSE)
def test_a_file_without_a_number_is_missing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cpu.weight"
    path.write_text(content)
    reading = read_count(path)
    assert isinstance(reading, Missing)
    assert str(path) in reading.reason


def test_binary_content_is_missing_and_harmless_to_print(tmp_path: Path) -> None:
    path = tmp_path / "cpu.weight"
    path.write_bytes(bytes(range(256)))
    reading = read_count(path)
    assert isinstance(reading, Missing)
    assert reading.reason.isprintable()


@pytest.mark.parametrize("read", [read_text, read_lines, read_count])
def test_an_absent_file_is_missing(tmp_path: Path, read: Callable[[Path], object]) -> None:
    assert read(tmp_path / "gone") == Missing(f"{tmp_path}/gone does not exist")


def test_a_directory_in_place_of_a_file_is_missing(tmp_path: Path) -> None:
    assert isinstance(read_text(tmp_path), Missing)


def test_a_path_with_a_nul_byte_is_missing(tmp_path: Path) -> None:
    assert isinstance(read_text(tmp_path / "a\0b"), Missing)


def test_permission_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("collectors.host.readings.os.open", refuse)
    assert read_text(tmp_path / "f") == Missing(f"{tmp_path}/f may not be read", "run as root")


def test_a_file_beyond_the_limit_is_missing_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x" * 11)
    assert read_text(path, limit=11) == "x" * 11
    assert isinstance(read_text(path, limit=10), Missing)


def test_scaled_keeps_missing_missing() -> None:
    assert scaled(3, 1000) == 3000
    assert scaled(Missing("gone"), 1000) == Missing("gone")


@given(st.integers(0, U64_MAX), st.integers(0, U64_MAX))
def test_a_delta_is_exact_or_missing_and_never_negative(before: int, after: int) -> None:
    change = delta(before, after)
    if isinstance(change, Missing):
        assert after < before
    else:
        assert change >= 0
        assert before + change == after


def test_a_delta_with_a_missing_end_is_missing() -> None:
    assert delta(Missing("early"), 5) == Missing("early")
    assert delta(5, Missing("late")) == Missing("late")


def test_since_takes_each_field_on_its_own() -> None:
    change = since(Counters(5, 100), Counters(7, 90))
    assert change.periods == 2
    assert isinstance(change.throttled_ns, Missing)


def test_missing_values_are_found_however_deep() -> None:
    record = Counters(Missing("a"), 3)
    assert list(missing_in([record, {"sda": (record, 1)}, None])) == [Missing("a"), Missing("a")]


def test_real_kernel_files_read() -> None:
    path = Path("/proc/sys/kernel/pid_max")
    assert read_count(path) == int(path.read_text())
    lines = read_lines(Path("/proc/self/status"))
    assert not isinstance(lines, Missing)
    assert f"Pid:\t{os.getpid()}" in lines
