"""Who used up a quota that a victim shares: told by the kernel's account of each ancestor, and by who ran below it."""

import os
from dataclasses import replace

import pytest

from agent.analysis.aggressors import aggressors, own_ratios
from agent.analysis.observation import VictimObservation, observe
from agent.documents.verdict import CauseKind
from collectors.sources.signal_reader import SignalReader, signals_within
from probes.sched_probe import SchedProbe
from tests.kernel.answers import measure
from tests.kernel.situations import Group, Situation, idle_nap, spin

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
SECONDS = 1.0
PERIOD_US = 50_000


def seen(
    probe: SchedProbe, situation: Situation, victim: Group, neighbours: list[Group]
) -> VictimObservation:
    """What a while of all processes looks like to the analysis."""
    paths = [victim.path, victim.path.rpartition("/")[0], *(group.path for group in neighbours)]
    with SignalReader(situation.layout) as reader:
        before = reader.read(paths)
        (window,) = measure(probe, situation, SECONDS).windows
        signals = signals_within(before, reader.read(paths))
    return observe([replace(window, signals=signals)], victim.path, [group.path for group in neighbours])


def test_who_used_up_the_quota_is_charged_and_not_who_ran_elsewhere(probe: SchedProbe) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    here, there = {cpus[-1]}, {cpus[0]}
    observed = []
    for crowded in (False, True):
        with Situation() as situation:
            shared, elsewhere = (situation.limitable_group(name) for name in ("shared", "elsewhere"))
            victim, heavy, light = (
                situation.group(name, parent=shared) for name in ("victim", "heavy", "light")
            )
            shared.limit(PERIOD_US // 10, PERIOD_US)  # little: it must bind beside whatever else runs
            situation.process(spin, victim, here)
            if crowded:
                situation.process(spin, heavy, here)
                situation.process(spin, heavy, there)
                situation.process(idle_nap, light, there)
                situation.process(spin, elsewhere, there)
            neighbours = [heavy, light, elsewhere]
            observed.append(seen(probe, situation, victim, neighbours))
            throttled_ns = shared.throttled_ns
            names = {"heavy": heavy.path, "light": light.path, "elsewhere": elsewhere.path}
    without, with_ = observed
    assert list((with_.signals.quotas_ns or {}).values()) == [pytest.approx(throttled_ns, rel=0.05)]
    renamed = {path: name for name, path in names.items()}
    assert own_ratios([(without, with_)])[CauseKind.THROTTLED] == 0
    found = aggressors([(without, with_)], {CauseKind.THROTTLED: 100.0}, renamed)
    assert found[0].name == "heavy"
    assert found[0].share_pct > 80  # the other ran for some 6 ms
    assert {each.name for each in found} <= {"heavy", "light"}
    assert sum(each.share_pct for each in found) == pytest.approx(100.0)
