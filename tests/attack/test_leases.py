"""However jostle and its helpers die, hang or are stopped: nothing stays frozen or capped beyond its lease.

A few moments of each here, all at once; `python -m tests.attack.deaths` has as many as one likes.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.attack import deaths

pytestmark = pytest.mark.kernel


def test_no_way_to_die_or_hang_leaves_a_change_in_force() -> None:
    dice = random.Random(7)  # noqa: S311  moments, no secrets
    with ThreadPoolExecutor(len(deaths.WAYS)) as pool:
        times = dict(
            zip(
                deaths.WAYS,
                pool.map(lambda way: deaths.outlived_s(way, dice.uniform(0, 2)), deaths.WAYS),
                strict=True,
            )
        )
    assert {way: late_s for way, late_s in times.items() if late_s > deaths.OUTLIVES_S} == {}
