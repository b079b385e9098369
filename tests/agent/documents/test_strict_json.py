"""What jostle writes as JSON is read by every parser: Python's own takes more than the standard sets down."""

import json
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.strict_json import strict_json

NAME = os.fsdecode(b"caf\xe9 \xff\\xff")


def test_a_byte_that_is_not_utf_8_is_shown_as_its_number() -> None:
    text = strict_json({NAME: NAME})
    assert json.loads(text) == {"caf\\udce9 \\udcff\\xff": "caf\\udce9 \\udcff\\xff"}
    assert msgspec.json.decode(text) == json.loads(text)


@given(st.text(st.characters(codec=None)), st.integers(0, 2))
def test_every_text_is_unicode_and_what_was_unicode_is_unchanged(name: str, repeated: int) -> None:
    name = name + "\\" * repeated + "\U0001f600\udcff" * repeated
    read = json.loads(strict_json([name]))[0]
    read.encode("utf-8")  # raises for half of a pair
    if not any("\ud800" <= character <= "\udfff" for character in name):
        assert read == name


@given(st.text("\\ud8c\udcff\ud83d\ude00", max_size=12))
def test_what_looks_like_an_escape_is_not_taken_for_one(name: str) -> None:
    text = strict_json([name])
    assert text.isascii()
    json.loads(text)[0].encode("utf-8")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        strict_json([number])
