"""The labelled set itself, and the order it runs in."""

from collections import Counter

import pytest

from agent.documents.verdict import CauseKind, Conclusion
from agent.sandbox.shell_line import require_runnable
from agent.selftest.run import Campaign, choose_cpus, label_of
from agent.selftest.scenarios import Scenario, TwoCpus, scenarios
from collectors.host.readings import Missing
from collectors.host.topology import Topology
from probes.errors import HostError

ALL = scenarios(TwoCpus(0, 1))


def topology(*cores: frozenset[int]) -> Topology:
    groups = frozenset(cores)
    online = frozenset(cpu for core in cores for cpu in core)
    return Topology(online, groups, groups, groups, groups)


def test_there_are_at_least_twenty_with_names_of_their_own() -> None:
    assert len(ALL) >= 20
    assert len({each.name for each in ALL}) == len(ALL)


def test_the_default_repeat_gives_fifty_experiments_without_anything_to_find() -> None:
    from agent.cli.selftest import REPEAT

    assert REPEAT * sum(not label_of(each).has_effect for each in ALL) >= 50
    assert REPEAT * sum(label_of(each).has_effect for each in ALL) >= 40


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.name)
def test_a_label_is_complete_and_can_run(scenario: Scenario) -> None:
    assert label_of(scenario).has_effect == (scenario.cause is not None)
    assert (scenario.culprit is not None) == (scenario.verdict is Conclusion.INTERFERENCE)
    for command in (scenario.victim, *scenario.neighbours):
        require_runnable(command)


def test_hardware_that_a_guest_cannot_see_has_no_label() -> None:
    known = {CauseKind.CPU_WAIT, CauseKind.SELF, CauseKind.THROTTLED, CauseKind.IO, CauseKind.MEMORY_PRESSURE}
    assert {each.cause for each in ALL if each.cause} == known


def test_the_order_is_drawn_from_the_seed_alone() -> None:
    campaign = Campaign(ALL, 2, 5)
    assert campaign.order() == Campaign(ALL, 2, 5).order()
    assert campaign.order() != Campaign(ALL, 2, 6).order()
    assert set(Counter(scenario.name for scenario, _ in campaign.order()).values()) == {2}
    assert len({seed for _, seed in campaign.order()}) == len(campaign.order())


def test_the_culprit_is_named_as_in_a_verdict() -> None:
    scenario = next(each for each in ALL if each.culprit == 2)
    assert label_of(scenario).culprit == "neighbour-2 taskset"


def test_siblings_of_one_core_are_not_two_places() -> None:
    assert choose_cpus([0, 1, 2, 3], topology(frozenset({0, 1}), frozenset({2, 3}))) == TwoCpus(0, 2)


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [([0, 1], [frozenset({0, 1})]), ([0], [frozenset({0})]), ([1], [frozenset({0}), frozenset({1})])],
)
def test_a_single_core_is_refused(allowed: list[int], cores: list[frozenset[int]]) -> None:
    with pytest.raises(HostError, match="two CPUs"):
        choose_cpus(allowed, topology(*cores))


def test_a_topology_that_is_not_known_is_refused() -> None:
    unknown = Missing("sysfs is not mounted")
    with pytest.raises(HostError, match="sysfs is not mounted"):
        choose_cpus([0, 1], Topology(unknown, unknown, unknown, unknown, unknown))
