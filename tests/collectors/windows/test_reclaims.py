"""What is made of two readings of who had memory reclaimed."""

from collectors.windows.reclaims import MemoryContest, ReclaimUse, contest, reclaims_within
from probes.reclaim import HOST, UNKNOWN, ReclaimFigures

PATHS = {1: "/pods/a", 2: "/pods/b", 3: "/pods/b"}


def test_only_what_grew_is_in_a_window_and_cgroups_of_one_path_are_one() -> None:
    before = {"/pods": {1: ReclaimFigures(5, 50, 500), 2: ReclaimFigures(1, 10, 100)}}
    after = {
        "/pods": {1: ReclaimFigures(5, 50, 500), 2: ReclaimFigures(3, 30, 300), 3: ReclaimFigures(1, 7, 70)},
        HOST: {9: ReclaimFigures(1, 2, 3)},
    }
    assert reclaims_within(before, after, PATHS) == {
        "/pods": {"/pods/b": ReclaimUse(3, 27, 270)},
        "/": {"other": ReclaimUse(1, 2, 3)},
    }


def test_limits_of_ones_own_of_ancestors_and_of_others_are_told_apart() -> None:
    window = {
        "/pods/a/inner": {"/pods/a/inner": ReclaimUse(1, 1, 1)},
        "/pods": {"/pods/a": ReclaimUse(1, 20, 2), "/pods/b": ReclaimUse(1, 300, 3)},
        "/pods/b": {"/pods/b": ReclaimUse(1, 4000, 4)},
        UNKNOWN: {"/pods/b": ReclaimUse(1, 50000, 5)},
    }
    assert contest([window, window], "/pods/a") == MemoryContest(
        ReclaimUse(2, 2, 2), ReclaimUse(2, 40, 4), {"/pods/b": 600}
    )
