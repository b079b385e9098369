"""Values as they stand in a column, and back; damage raises one of DAMAGE."""

import sqlite3
import struct

DAMAGE = (sqlite3.Error, struct.error, LookupError, TypeError, ValueError, OverflowError)
"""What reading a damaged file raises, anywhere in this package."""

# One non-empty bucket of a histogram: its number and its count.
_BUCKET = struct.Struct("<BQ")


def encode_histogram(counts: tuple[int, ...]) -> bytes:
    """Only the buckets that hold something: 9 bytes each."""
    return b"".join(_BUCKET.pack(index, count) for index, count in enumerate(counts) if count)


def decode_histogram(encoded: bytes, buckets: int) -> tuple[int, ...]:
    """The inverse of `encode_histogram`."""
    counts = [0] * buckets
    for index, count in _BUCKET.iter_unpack(encoded):
        counts[index] = count
    return tuple(counts)


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
