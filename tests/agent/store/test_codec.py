"""Numbers in blobs: what is written comes back, in as few bytes as LEB128 needs; damage is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store.codec import DAMAGE, decode_numbers, decode_rows, encode_numbers, encode_rows

counts = st.integers(0, 2**63 - 1)


@given(st.lists(counts))
def test_numbers_survive(numbers: list[int]) -> None:
    encoded = encode_numbers(numbers)
    assert decode_numbers(encoded) == numbers
    assert len(encoded) == sum(max(1, -(-number.bit_length() // 7)) for number in numbers)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[counts] * width), min_size=1)))
def test_rows_survive(rows: list[tuple[int, ...]]) -> None:
    assert list(decode_rows(encode_rows(rows), len(rows[0]))) == rows


def test_as_dwarf_writes_them() -> None:
    """The examples of the DWARF standard, appendix C."""
    assert encode_numbers([2, 127, 128, 129, 12857]) == bytes.fromhex("02 7f 8001 8101 b964")


@given(st.binary())
def test_any_bytes_are_numbers_or_damage(encoded: bytes) -> None:
    try:
        numbers = decode_numbers(encoded)
    except DAMAGE:
        return
    assert all(0 <= number < 2**63 for number in numbers)


def test_a_row_with_a_number_too_few_is_damage() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(decode_rows(encode_numbers([1, 2, 3, 4, 5]), 3))
