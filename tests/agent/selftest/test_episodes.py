"""The labelled episodes themselves, and the order they run in."""

from collections import Counter

import pytest
from msgspec.structs import replace

from agent.documents.selftest_detection import DetectionSelftest, EpisodeFinding, Expectation
from agent.sandbox.shell_line import require_runnable
from agent.selftest.episode_run import BEFORE_S, LENGTH_S, EpisodeCampaign, resumed
from agent.selftest.episodes import Episode, episodes
from probes.errors import UsageError
from tests.agent.selftest.told import selftest

ALL = episodes()
CAMPAIGN = EpisodeCampaign(ALL[:3], 2, 7)


def test_each_has_a_name_of_its_own_and_a_kind_of_every_sort() -> None:
    assert len({each.name for each in ALL}) == len(ALL)
    assert {each.expects for each in ALL} == set(Expectation)


@pytest.mark.parametrize("episode", ALL, ids=lambda each: each.name)
def test_a_label_is_complete_and_can_run(episode: Episode) -> None:
    cgroups = {part.cgroup for part in (*episode.usual, *episode.change)}
    assert {*episode.victims, *episode.ends, *episode.culprits} <= cgroups
    assert set(episode.culprits).isdisjoint(part.cgroup for part in episode.usual)
    assert bool(episode.culprits) == (episode.expects is Expectation.NEIGHBOURS)
    assert bool(episode.change) == (episode.expects is not Expectation.NOTHING)
    for part in (*episode.usual, *episode.change):
        require_runnable(part.command)


def test_each_lasts_for_two_minutes_and_more() -> None:
    assert LENGTH_S >= 120
    assert BEFORE_S >= 60  # what comes every minute is seen once


def test_the_order_is_drawn_from_the_seed_and_has_each_once_before_any_comes_again() -> None:
    order = EpisodeCampaign(ALL, 2, 5).order()
    assert order == EpisodeCampaign(ALL, 2, 5).order()
    assert order != EpisodeCampaign(ALL, 2, 6).order()
    names = [episode.name for episode, _ in order]
    assert set(names[: len(ALL)]) == set(names[len(ALL) :]) == {each.name for each in ALL}
    assert set(Counter(names).values()) == {2}
    assert len({seed for _, seed in order}) == len(order)


def begun(done: int) -> DetectionSelftest:
    findings = tuple(
        EpisodeFinding(episode.name, seed, None, None, (), ()) for episode, seed in CAMPAIGN.order()[:done]
    )
    labels = tuple(episode.label for episode in CAMPAIGN.episodes)
    whole = replace(
        selftest(), labels=labels, findings=findings, partial=done < 6, planned=6, seed=7, repeat=2
    )
    return replace(whole, before_s=float(BEFORE_S), length_s=float(LENGTH_S), jostle_version="0.1.0")


@pytest.fixture
def version_of_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.selftest.episode_run.version", lambda _: "0.1.0")


@pytest.mark.usefixtures("version_of_then")
def test_the_same_episodes_follow() -> None:
    assert resumed(begun(4), ALL) == CAMPAIGN


@pytest.mark.usefixtures("version_of_then")
@pytest.mark.parametrize(
    ("of", "told"),
    [
        (begun(6), "nothing to go on with"),
        (replace(begun(4), seed=8), "another jostle"),
        (replace(begun(4), jostle_version="0.0.9"), "another jostle"),
        (
            replace(begun(4), labels=(replace(ALL[0].label, onset_s=1.0), *begun(4).labels[1:])),
            "another jostle",
        ),
    ],
)
def test_another_one_is_not_gone_on_with(of: DetectionSelftest, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        resumed(of, ALL)
