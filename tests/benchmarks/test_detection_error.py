"""The simulation of many cgroups at once tells what the detector's own series tell, one by one."""

from math import isnan

import numpy as np
import pytest

from agent.detection.harm import Harm
from benchmarks.detection_error import ROWS, Population, Row, moment_of, values_of
from tests.agent.analysis.trials import cgroup

CGROUPS, HOURS, REACH = 3, 30, 0.5  # so low that much is told
ANY = cgroup(1.0)


@pytest.mark.parametrize("row", [ROWS[5], ROWS[12]], ids=lambda row: row.name)
def test_many_at_once_are_as_one_by_one(row: Row) -> None:
    population, harms = Population(row.indicator, CGROUPS), [Harm() for _ in range(CGROUPS)]
    raised = np.zeros(CGROUPS, dtype=int)
    rng = np.random.default_rng(3)
    for number, figures in enumerate(row.simulate(rng, CGROUPS, 360 * HOURS)):
        values = values_of(row, figures)
        values[0] = np.nan if number % 5000 < 700 else values[0]
        at = moment_of(number, REACH)
        population.step(values, at)
        for each, value in enumerate(values.tolist()):
            harm = harms[each]
            known = None if isnan(value) else value
            if harm.step(row.indicator, known, at, None if known is None else ANY):
                harm.raised = object()  # type: ignore[assignment]  # any event
                raised[each] += 1
            elif harm.is_over:
                harm.clear()
        assert population.raised.tolist() == [harm.raised is not None for harm in harms], number
        assert population.level == pytest.approx([harm.level for harm in harms])
    assert population.limit == pytest.approx([harm.limit for harm in harms])
    assert raised.sum() > 0
