"""What hashes by device and slots hold, and what of it goes with a slot, on hashes that are dictionaries."""

import struct
from collections.abc import Iterator

import pytest

from probes import bpf_syscall, charged_maps

KEY = struct.Struct("<IHH")
FD = 7


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int, int], int]:
    """Waits by device, slot and whom it waited for, in the hash FD."""
    found: dict[tuple[int, int, int], int] = {}

    def lookup_all(map_fd: int, key_bytes: int, value_bytes: int) -> Iterator[tuple[bytes, bytes]]:
        assert (map_fd, key_bytes, value_bytes) == (FD, KEY.size, charged_maps.PAIR.size)
        yield from [(KEY.pack(*key), charged_maps.PAIR.pack(wait_ns)) for key, wait_ns in found.items()]

    monkeypatch.setattr(bpf_syscall, "lookup_all", lookup_all)
    monkeypatch.setattr(bpf_syscall, "delete", lambda _fd, raw: found.pop(KEY.unpack(raw)))
    return found


def test_waits_for_slots_of_one_key_are_one(held: dict[tuple[int, int, int], int]) -> None:
    held |= {(1, 5, 6): 10, (1, 5, 7): 20, (2, 5, 6): 40, (1, 6, 5): 80}
    keys = {5: -5, 6: -67, 7: -67}
    assert charged_maps.waits(FD, KEY, keys.__getitem__) == {
        (1, 5): {-67: 30},
        (2, 5): {-67: 40},
        (1, 6): {-5: 80},
    }


def test_what_is_of_a_slot_that_is_gone_or_was_for_it_is_forgotten(
    held: dict[tuple[int, int, int], int],
) -> None:
    # The device has the number of a slot that is gone.
    held |= {(5, 6, 7): 1, (5, 5, 7): 2, (5, 7, 5): 4, (5, 7, 6): 8}
    charged_maps.forget(FD, KEY, charged_maps.PAIR, [5])
    assert held == {(5, 6, 7): 1, (5, 7, 6): 8}
