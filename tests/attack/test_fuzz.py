"""Files that strangers have changed: a part of `make fuzz`, always the same, and that it finds what is wrong."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.fuzz import MOST_BYTES, fault, findings

SEED, MUTATIONS = 1, 110


def test_every_mutation_ends_in_a_result_or_in_one_line(tmp_path: Path) -> None:
    assert [(name, wrong) for name, _, wrong in findings(tmp_path, SEED, iter(range(MUTATIONS)))] == []


def _hog(_: Path) -> None:
    bytearray(MOST_BYTES + (1 << 20))


def _endless(_: Path) -> None:
    while True:
        pass


def _two_lines(_: Path) -> None:
    os.write(2, b"jostle: one\njostle: two\n")
    raise SystemExit(2)


def _fails(_: Path) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("read", "said"),
    [(_hog, " MB"), (_endless, "signal"), (_two_lines, "not one line"), (_fails, "Traceback: MemoryError")],
)
def test_what_is_wrong_is_found(tmp_path: Path, read: Callable[[Path], None], said: str) -> None:
    assert said in (fault(read, tmp_path) or "")
