"""Hashes by (device or limit, slot[, slot that was waited for]), as bpf/block.c, network.c and reclaim.c keep them."""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from probes import bpf_syscall

PAIR = struct.Struct("<Q")
"""How long one slot waited for another, in ns."""


def rows(
    map_fd: int, key: struct.Struct, value: struct.Struct
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Key and value of every element, unpacked."""
    for raw, held in bpf_syscall.lookup_all(map_fd, key.size, value.size):
        yield key.unpack(raw), value.unpack(held)


def waits(
    map_fd: int, key: struct.Struct, key_of: Callable[[int], int]
) -> Mapping[tuple[int, int], Mapping[int, int]]:
    """By device and slot, how long it waited for whom, by the keys of their slots."""
    found: dict[tuple[int, int], dict[int, int]] = {}
    for (device, slot, aggressor), (wait_ns,) in rows(map_fd, key, PAIR):
        behind, name = found.setdefault((device, slot), {}), key_of(aggressor)
        behind[name] = behind.get(name, 0) + wait_ns
    return found


def forget(map_fd: int, key: struct.Struct, value: struct.Struct, slots: Iterable[int]) -> None:
    """Remove what is of cgroups that are gone, or was for them: their slots are given again."""
    gone = set(slots)
    for raw, _ in bpf_syscall.lookup_all(map_fd, key.size, value.size):
        _, *named = key.unpack(raw)
        if not gone.isdisjoint(named):
            bpf_syscall.delete(map_fd, raw)
