"""tests/STRANGERS.md names tests that exist and its items in order, with two siblings where an issue asks for them."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = (HERE / "STRANGERS.md").read_text()
TEST = re.compile(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`")
WITH_SIBLINGS = [f"13.{item}" for item in range(1, 10)]


def items() -> list[str]:
    return re.findall(r"^(?:## |\| )(\d+\.\d+) ", TEXT, re.MULTILINE)


def test_every_item_names_tests_that_exist() -> None:
    named = TEST.findall(TEXT)
    assert len(named) >= len(items()) > 0
    for path, test in named:
        text = (HERE / path).read_text()
        assert not test or f"def {test}(" in text, f"{path}::{test}"


def test_the_items_stand_in_order() -> None:
    numbers = [tuple(map(int, item.split("."))) for item in items()]
    assert [pair for pair in pairwise(numbers) if pair[0] > pair[1]] == []


@pytest.mark.parametrize("item", WITH_SIBLINGS)
def test_an_item_has_tests_and_siblings_which_name_theirs(item: str) -> None:
    section = re.search(rf"^## {re.escape(item)} [^\n]+\n\n((?:\* [^\n]+\n)+)", TEXT, re.MULTILINE)
    assert section, item
    lines = section[1].splitlines()
    assert all(re.match(r"\* (test: |sibling: .+: )`", line) and TEST.search(line) for line in lines), item
    siblings = {TEST.search(line).group() for line in lines if line.startswith("* sibling")}  # type: ignore[union-attr]
    assert len(siblings) >= 2
    assert any(line.startswith("* test") for line in lines)
