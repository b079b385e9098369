"""The algebra that disks, queues and reclaims share."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from collectors.windows import charged

NAMES = st.sampled_from(["/a", "/a/b", "/ab", "/c", "kernel"])
AMOUNTS = st.dictionaries(NAMES, st.integers(0, 2**40))


@given(AMOUNTS, st.dictionaries(NAMES, NAMES))
def test_other_names_keep_the_sum(amounts: dict[str, int], names: dict[str, str]) -> None:
    found = charged.renamed(amounts, names)
    assert sum(found.values()) == sum(amounts.values())
    assert set(found) == {names.get(name, name) for name in amounts}


@given(AMOUNTS)
def test_own_and_others_are_all_there_is(amounts: dict[str, int]) -> None:
    own, others = charged.own_and_others(amounts, "/a")
    assert own + sum(others.values()) == sum(amounts.values())
    assert set(others) == amounts.keys() - {"/a", "/a/b"}


def test_what_grew_is_told_by_path_and_what_has_none_together() -> None:
    before, after = {1: 10, 2: 5}, {1: 15, 2: 4, 3: 7, 4: 8}
    assert charged.grown(before, after, {1: "/a", 2: "/c"}) == {"/a": 5, charged.OTHER: 15}


def test_uses_of_cgroups_of_one_path_are_added_and_those_of_nothing_left_out() -> None:
    def use_of(was: int | None, now: int) -> int | None:
        return now - (was or 0) or None

    def add(parts: Sequence[int]) -> int:
        return sum(parts)

    before, after = {"vda": {1: 1}}, {"vda": {1: 1, 2: 4, 3: 8}, "vdb": {1: 16}}
    found = charged.within(before, after, {1: "/a", 2: "/c", 3: "/c"}, use_of, add)
    assert found == {"vda": {"/c": 12}, "vdb": {"/a": 16}}
    assert list(charged.of_subtree([found, {"vdb": {"/a/b": 32, "/ab": 64}}], "/a")) == [16, 32]
