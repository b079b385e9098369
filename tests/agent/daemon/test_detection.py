"""The detector as a sink: its rules are the configuration's, and another configuration's from the next window on."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.daemon.config import Config, DetectionConfig, RuleConfig
from agent.daemon.detection import Detection, settings
from agent.documents.event import Episode, Event, EventState
from agent.documents.tasks import TaskShare
from collectors.sources.tasks import TaskReading, TaskReadings
from collectors.windows.sched import KERNEL
from probes.errors import UsageError
from reports.sections.events import event_listing
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup
from tests.agent.daemon.observations import observation
from tests.agent.detection.scenes import crowded, usual

CLASSIC = DetectionConfig(rules=(RuleConfig(),))


def judged(detection: Detection, first: int, *scene: bool) -> list[Event]:
    """What is raised and cleared over windows that are crowded or not."""
    return [
        event
        for number, is_crowded in enumerate(scene, first)
        for event in detection.on_window(observation(number, crowded() if is_crowded else usual()))
    ]


def test_the_rules_are_those_of_the_configuration() -> None:
    config = CLASSIC
    found = settings(config)
    assert [(rule.indicator, rule.method, rule.limit) for rule in found.rules] == [
        (rule.indicator, rule.method, rule.limit) for rule in config.rules
    ]
    assert sum(rule.limit for rule in settings(DetectionConfig(budget_per_week=3.0)).rules[:2]) == 3.0
    assert settings(DetectionConfig(fast=True)).lasting_s < settings(DetectionConfig()).lasting_s
    assert (found.persistence.windows, found.persistence.exceeded) == (config.windows, config.exceeded)


def test_windows_go_in_and_events_come_out() -> None:
    detection = Detection(CLASSIC, lambda _path: None)
    (event,) = judged(detection, 0, *[False] * 40, *[True] * 4)
    assert (event.victim, event.state) == (VICTIM, EventState.RAISED)
    detection.on_event(event)
    # All is well in windows 44 to 46; 30 windows of 10 s later the end is told.
    assert judged(detection, 44, *[False] * 32) == []
    (end,) = judged(detection, 76, *[False])
    assert (end.state, end.victim) == (EventState.CLEARED, VICTIM)
    assert end.utc_ns == observation(46, usual()).end_utc_ns
    detection.close()


def test_another_cooldown_holds_from_the_next_window_on() -> None:
    detection = Detection(CLASSIC, lambda _path: None)
    assert len(judged(detection, 0, *[False] * 40, *[True] * 4, *[False] * 4)) == 1
    detection.reload(replace(Config(), detection=replace(CLASSIC, cooldown_s=0.0)))
    assert [each.state for each in judged(detection, 48, *[False])] == [EventState.CLEARED]


def test_another_configuration_holds_from_the_next_window_on() -> None:
    detection = Detection(CLASSIC, lambda _path: None)
    assert judged(detection, 0, *[False] * 40) == []
    detection.reload(replace(Config(), detection=DetectionConfig(rules=(RuleConfig(limit=1e9),))))
    assert judged(detection, 40, *[True] * 4) == []


@pytest.mark.parametrize(("whom", "reads"), [(KERNEL, 2), ("/", 2), (NEIGHBOUR, 0)])
def test_who_runs_within_the_kernel_or_the_root_is_named_and_read_only_then(whom: str, reads: int) -> None:
    now_ns = iter(range(0, 10**12, 10**9))
    made: list[TaskReadings] = []

    def read() -> TaskReadings:
        made.append({(7, 1): TaskReading("busy", whom, next(now_ns)), (8, 1): TaskReading("idle", whom, 5)})
        return made[-1]

    detection = Detection(CLASSIC, lambda _path: None, read)
    scene = [usual()] * 40 + [cgroup(2.0, {whom: 4.0})] * 4
    beside = cgroup(4.0, path=whom)
    (event,) = (
        event
        for number, one in enumerate(scene)
        for event in detection.on_window(observation(number, one, beside))
    )
    # In one window it is beyond its limit, and with the next it is raised.
    assert len(made) == reads
    within = (TaskShare("busy", 7, 1, 1000.0, 25.0),) if reads else None
    assert [(each.cgroup, each.within) for each in event.suspects] == [(whom, within)]
    assert Event.from_document(event.to_document()) == event
    episode = Episode(since="now", duration_s=1.0, over=True, event=event)
    named = "100.0 %; by CPU time mostly busy 25.0 %" in event_listing((episode,)).items[0]
    assert named == bool(reads)


def test_a_stored_baseline_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no recording"):
        Detection(replace(DetectionConfig(), baseline=str(tmp_path / "none.run")), lambda _path: None)
