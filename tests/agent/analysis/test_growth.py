"""How much more there was of an amount, per unit of work."""

import pytest

from agent.analysis.growth import growth_per_work, growth_ratio, with_neighbours, without_neighbours
from agent.analysis.observation import Pairs, VictimSignals
from agent.documents.metric import Metric
from agent.documents.verdict_parts import Arm
from tests.agent.analysis.trials import NS, cgroup, pair, seen_as, trial

RATE = Metric("requests", "1/s", "higher")


def ran(before_s: float, after_s: float) -> Pairs:
    return pair(trial(victim=cgroup(before_s)), trial(Arm.WITH, victim=cgroup(after_s)))


def test_it_is_summed_over_pairs_and_what_shrank_in_all_did_not_grow() -> None:
    both = [*ran(1.0, 3.0), *ran(2.0, 1.0)]
    assert growth_per_work(both, lambda seen: seen.victim.run_ns) == NS
    assert growth_ratio(both, lambda seen: seen.victim.run_ns) == pytest.approx(1 / 4)
    assert with_neighbours(both, lambda seen: seen.victim.run_ns) == 4 * NS
    assert without_neighbours(both, lambda seen: seen.victim.run_ns) == 3 * NS
    assert growth_per_work(ran(2.0, 1.0), lambda seen: seen.victim.run_ns) == 0.0
    assert growth_ratio(ran(2.0, 1.0), lambda seen: seen.victim.run_ns) == 0.0


def test_twice_the_work_may_take_twice_as_much() -> None:
    once = trial(value=50.0, metric=RATE, victim=cgroup(1.0))
    twice = trial(Arm.WITH, value=100.0, metric=RATE, victim=cgroup(2.0))
    assert growth_ratio(pair(once, twice), lambda seen: seen.victim.run_ns) == 0.0


def test_what_was_not_measured_once_is_not_known() -> None:
    some = seen_as(trial(Arm.WITH), signals=VictimSignals(refaulted_pages=7))
    assert growth_per_work(pair(trial(), some), lambda seen: seen.signals.refaulted_pages) is None
    assert growth_ratio(ran(0.0, 0.0), lambda seen: seen.disk.requests) == 0.0
