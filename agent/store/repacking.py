"""What SQL cannot do by itself when a file of an earlier version is brought to this one."""

import sqlite3
import struct

from agent.store.codec import encode_numbers, encode_rows

# Until version 4, one non-empty bucket of a histogram: its number and its count.
_BUCKET_4 = struct.Struct("<BQ")


def provide(db: sqlite3.Connection) -> None:
    """Make the functions known that `schema` calls in its steps."""
    db.create_function("repacked_histogram", 1, repacked_histogram, deterministic=True)
    db.create_aggregate("packed_waits", 3, _PackedWaits)  # type: ignore[arg-type]  # step takes what SQL gives


def repacked_histogram(encoded: bytes) -> bytes:
    """A histogram of version 4 as `codec.encode_histogram` writes it."""
    numbers, after = [], 0
    for index, count in _BUCKET_4.iter_unpack(encoded):
        numbers += [index - after, count]
        after = index + 1
    return encode_numbers(numbers)


class _PackedWaits:
    """The rows of one victim in one window as the blob that took their place."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []

    def step(self, aggressor: int, wait_ns: int, preemptions: int) -> None:
        self._rows.append((aggressor, wait_ns, preemptions))

    def finalize(self) -> bytes:
        return encode_rows(self._rows)
