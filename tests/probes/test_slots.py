"""User space's half of the slots' bookkeeping, with the kernel's half played by a model."""

import os
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from probes import layout
from probes.layout import FIRST_SLOT
from probes.slots import SlotDirectory
from tests.probes.memory import SMALL, Kernel, hash_bucket

HELD_BACK = 64
ROOM = SMALL.slots - FIRST_SLOT - HELD_BACK


def directory_on(kernel: Kernel, *existing: tuple[int, str]) -> SlotDirectory:
    directory = SlotDirectory(kernel.maps, kernel.arrays, SMALL)
    directory.assign_existing(existing)
    return directory


def keys_of_bucket(bucket: int) -> Iterator[int]:
    return (key for key in range(1, 100_000) if hash_bucket(key) == bucket)


def test_existing_cgroups_are_found_by_both_sides() -> None:
    kernel = Kernel()
    directory = directory_on(kernel, (11, "/a"), (12, "/b"))
    assert sorted(directory.live.values()) == [(11, "/a"), (12, "/b")]
    for slot, (key, _) in directory.live.items():
        assert kernel.slot_of(key) == slot >= FIRST_SLOT
    assert directory.untracked == 0


def test_a_birth_is_taken_in_with_its_name() -> None:
    kernel = Kernel()
    directory = directory_on(kernel)
    slot = kernel.mkdir(77, "/tenants/bé\udcff".encode("utf-8", "surrogateescape"))
    assert directory.update() == []
    assert slot is not None
    assert directory.live[slot] == (77, "/tenants/bé\udcff")


def test_a_death_is_told_once_and_its_slot_comes_back_last() -> None:
    kernel = Kernel()
    directory = directory_on(kernel, (11, "/a"))
    (slot,) = directory.live
    kernel.rmdir(11)
    assert directory.update() == [slot]
    assert directory.update() == []
    assert kernel.slot_of(11) == slot  # until it is freed
    directory.free([slot])
    assert kernel.slot_of(11) is None
    taken = [kernel.mkdir(key, b"/new") for key in range(100, 100 + ROOM + 1)]
    given = [found for found in taken if found is not None]
    assert len(given) == len(set(given))


def test_born_and_dead_between_two_updates() -> None:
    kernel = Kernel()
    directory = directory_on(kernel)
    slot = kernel.mkdir(5, b"/brief")
    kernel.rmdir(5)
    assert directory.update() == [slot]


def test_a_full_bucket_makes_untracked_and_a_removal_mends_the_count() -> None:
    kernel = Kernel()
    keys = keys_of_bucket(3)
    existing = [(next(keys), f"/{number}") for number in range(5)]
    directory = directory_on(kernel, *existing)
    assert directory.untracked == 1
    assert len(directory.live) == 4
    newcomer = next(keys)
    assert kernel.mkdir(newcomer, b"/late") is None
    assert directory.untracked == 2
    kernel.rmdir(newcomer)
    kernel.rmdir(existing[4][0])
    assert directory.untracked == 0


def test_cgroups_missed_between_listing_and_attaching_get_the_slots_held_back() -> None:
    kernel = Kernel()
    directory = directory_on(kernel, (11, "/a"))
    kernel.mkdir(12, b"/seen by the hook")
    listed = [(11, "/a"), (12, "/seen by the hook"), (13, "/missed")]
    directory.assign_missed(lambda: listed)
    assert sorted(directory.live.values()) == [(11, "/a"), (12, "/seen by the hook"), (13, "/missed")]
    assert kernel.slot_of(13) is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=200))
def test_no_two_live_cgroups_ever_share_a_slot(steps: list[tuple[bool, int]]) -> None:
    kernel = Kernel()
    directory = directory_on(kernel, (1000, "/first"))
    alive = {1000}
    untracked = set()
    pending_free: list[int] = []
    for birth, key in steps:
        if birth and key not in alive:
            alive.add(key)
            if kernel.mkdir(key, b"/%d" % key) is None:
                untracked.add(key)
        elif not birth and key in alive:
            alive.remove(key)
            untracked.discard(key)
            kernel.rmdir(key)
        died = directory.update()
        directory.free(pending_free)
        pending_free = died
        placed = {key: kernel.slot_of(key) for key in alive - untracked}
        assert None not in placed.values()
        assert len(set(placed.values())) == len(placed)
        assert directory.untracked == len(untracked)


def test_who_looks_while_a_slot_is_given_sees_the_key_with_its_slot_or_no_key() -> None:
    kernel = Kernel()
    key, first = 0x1234, hash_bucket(0x1234) * layout.SIZE_SLOT_BUCKET
    memory, wrong = kernel.maps["slot_buckets"], 7
    pid = os.fork()
    if pid == 0:  # the hook, on another CPU: first the key, then the slot
        seen = False
        while (word := memory[first : first + 8]) != b"\xff" * 8:
            slot = memory[first + 8 : first + 16]
            seen |= (
                int.from_bytes(word, "little") == key and int.from_bytes(slot, "little") != SMALL.slots - 1
            )
        os._exit(wrong if seen else 0)
    for _ in range(30_000):
        directory = SlotDirectory(kernel.maps, kernel.arrays, SMALL)
        directory._unassigned = [SMALL.slots - 1]
        directory._assign(memory, key, "/made")
        directory.free([SMALL.slots - 1])
    memory[first : first + 8] = b"\xff" * 8
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_v1_cgroup_is_marked_where_it_tells_more() -> None:
    kernel = Kernel()
    directory = SlotDirectory(kernel.maps, kernel.arrays, SMALL, lambda path: path.startswith("/own"))
    directory.assign_existing(
        [(layout.KEY_V1 | 1, "/own"), (layout.KEY_V1 | 2, "/mirrored"), (3, "/own-by-v2")]
    )
    born = {layout.KEY_V1 | 4: b"/own-too", layout.KEY_V1 | 5: b"/mirrored-too"}
    for key, path in born.items():
        kernel.mkdir(key, path)
    directory.update()
    marked = {
        key & 7: bool((kernel.slot_of(key) or 0) & layout.TELLS_MORE) for key, _ in directory.live.values()
    }
    assert marked == {1: True, 2: False, 3: False, 4: True, 5: False}
    assert {key: (kernel.slot_of(key) or 0) & 0xFFFF for key, _ in directory.live.values()} == {
        key: slot for slot, (key, _) in directory.live.items()
    }
