"""The arithmetic of what counting costs."""

import pytest

from agent.recording.self_cost import CostMeter
from benchmarks.counting_cost import difference


def test_the_counting_is_what_one_hook_takes_longer_than_the_other() -> None:
    plain, counting = CostMeter(210.0, 0.0), CostMeter(830.0, 0.0, counters_ns_per_switch=600.0)
    assert difference(plain, counting) == (620.0, 600.0)


@pytest.mark.parametrize("counting", [CostMeter(), CostMeter(830.0, 0.0)])
def test_what_was_not_measured_is_no_figure(counting: CostMeter) -> None:
    with pytest.raises(SystemExit, match="no accounts"):
        difference(CostMeter(210.0, 0.0), counting)
