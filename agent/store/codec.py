"""Values as they stand in a column, and back; damage raises one of DAMAGE."""

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from itertools import chain

DAMAGE = (sqlite3.Error, struct.error, LookupError, TypeError, ValueError, OverflowError)
"""What reading a damaged file raises, anywhere in this package."""

_LOW_BITS, _MORE = 0x7F, 0x80
# A count has 63 bits, SQLite's integers being signed: nine bytes of seven.
_MOST_BITS = 63


def encode_numbers(numbers: Iterable[int]) -> bytes:
    """Counts as LEB128: seven bits in a byte, the lowest first, so that small numbers take one."""
    numbers = list(numbers)
    if max(numbers, default=0) <= _LOW_BITS:
        return bytes(numbers)
    encoded = bytearray()
    append = encoded.append  # a quarter of the time, of 100 numbers for each cgroup in a window
    for number in numbers:
        while number > _LOW_BITS:
            append(number & _LOW_BITS | _MORE)
            number >>= 7  # noqa: PLW2901  its lowest seven bits are written
        append(number)
    return bytes(encoded)


def decode_numbers(encoded: object) -> list[int]:
    """The inverse of `encode_numbers`."""
    if not isinstance(encoded, bytes):
        raise TypeError("numbers are no blob")
    numbers = []
    number = shift = 0
    for byte in encoded:
        number |= (byte & _LOW_BITS) << shift
        shift += 7
        if not byte & _MORE:
            numbers.append(number)
            number = shift = 0
        elif shift >= _MOST_BITS:
            raise OverflowError("a number is longer than any that was written")
    if shift:
        raise ValueError("a number has no end")
    return numbers


def encode_histogram(counts: Iterable[int]) -> bytes:
    """Only the buckets that hold something, each with how many empty ones are before it: 30 bytes for 15 buckets."""
    filled = [(place, count) for place, count in enumerate(counts) if count]
    ends = [-1, *(place for place, _ in filled)]
    return encode_rows((place - end - 1, count) for (place, count), end in zip(filled, ends, strict=False))


def decode_histogram(encoded: object, buckets: int) -> tuple[int, ...]:
    """The inverse of `encode_histogram`."""
    counts = [0] * buckets
    numbers = decode_numbers(encoded)
    at = -1
    for gap, found in zip(numbers[::2], numbers[1::2], strict=True):
        at += gap + 1
        counts[at] = found
    return tuple(counts)


def encode_rows(rows: Iterable[Iterable[int]]) -> bytes:
    """Rows of as many numbers each."""
    return encode_numbers(chain.from_iterable(rows))


def decode_rows(encoded: object, columns: int) -> Iterator[tuple[int, ...]]:
    """The inverse of `encode_rows`."""
    numbers = decode_numbers(encoded)
    return zip(*(numbers[column::columns] for column in range(columns)), strict=True)


def encode_path(path: str) -> bytes:
    """A path is bytes: surrogates stand for those that are no UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def decode_path(value: object) -> str:
    """The inverse of `encode_path`."""
    if not isinstance(value, bytes):
        raise TypeError("a cgroup's path is no blob")
    return value.decode("utf-8", "surrogateescape")


def count(value: object) -> int:
    """A counter, which is never negative."""
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value
