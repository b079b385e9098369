"""The detector as a sink: every window goes in, events come out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from agent.daemon.config import Config, DetectionConfig
from agent.daemon.sinks import Observation
from agent.detection.detector import Detector, Settings, called
from agent.detection.gates import FindQuota
from agent.detection.harm import FAST_LASTING_S, LASTING_S
from agent.detection.incidents import IncidentGrouper
from agent.detection.rules import Method, Rule, default_rules
from agent.detection.series import Persistence
from agent.detection.stored_baseline import read_baseline
from agent.documents.event import Event, EventState, Suspect
from agent.documents.tasks import TasksWithin, tasks_within
from collectors.sources.tasks import ROOT_CGROUP, TaskReadings
from collectors.windows.entitlement import FindWeights
from collectors.windows.sched import KERNEL, SchedWindow


class Detection:
    """A sink that raises events."""

    name = "detection"

    def __init__(
        self,
        config: DetectionConfig,
        find_quota: FindQuota,
        read_tasks: Callable[[], TaskReadings] = dict,
        find_weights: FindWeights = lambda _, __: None,
    ) -> None:
        """Read the stored baseline, if there is one.

        Raises:
            UsageError: It cannot be read.
        """
        baseline = read_baseline(Path(config.baseline)) if config.baseline else None
        self._detector = Detector(settings(config), baseline, find_quota, find_weights)
        self._incidents = IncidentGrouper(config.cooldown_s)
        self._read_tasks = read_tasks
        self._tasks: TaskReadings | None = None

    def on_window(self, observation: Observation) -> Sequence[Event]:
        """Judge one window and return the events that it raises or clears, as their incidents tell them."""
        utc_ns = observation.end_utc_ns
        raised = self._detector.step(observation.sched, utc_ns)
        events = [
            _called(event, observation.sched)
            for event in self._incidents.group(raised, utc_ns, observation.sched)
        ]
        return self._with_tasks(events, observation.sched)

    def _with_tasks(self, events: list[Event], window: SchedWindow) -> list[Event]:
        """The events with who ran within the kernel and the root cgroup since the window before.

        A reading takes 10 ms for 150 processes, so there are readings only from the first window on in which somebody
        is beyond a limit and waits most for these two.
        """
        before, self._tasks = self._tasks, None
        names = {
            each.cgroup for event in events for each in event.suspects if event.state is EventState.RAISED
        }
        is_asked = before is not None and names & {KERNEL, ROOT_CGROUP}
        if is_asked or self._detector.will_suspect_tasks(window):
            self._tasks = self._read_tasks()
        if before is None or self._tasks is None or not is_asked:
            return events
        within = tasks_within(before, self._tasks)
        return [
            replace(event, suspects=_named(event.suspects, within, window))
            if event.state is EventState.RAISED
            else event
            for event in events
        ]

    def on_event(self, event: Event) -> None:
        """Do nothing: the only events are those that this sink raised itself."""

    def reload(self, config: Config) -> None:
        """Judge by the rules of this configuration from the next window on."""
        self._detector.change(settings(config.detection))
        self._incidents.length_s = config.detection.cooldown_s

    def close(self) -> None:
        """Do nothing: detection holds no file or socket."""


def _called(event: Event, window: SchedWindow) -> Event:
    """The event with what people call those in it, as far as their paths and the runtimes' files tell."""
    return replace(
        event,
        victim_name=called(event.victim, window),
        suspects=tuple(replace(each, name=called(each.cgroup, window)) for each in event.suspects),
        victims=tuple(replace(each, name=called(each.cgroup, window)) for each in event.victims),
    )


def _named(suspects: tuple[Suspect, ...], within: TasksWithin, window: SchedWindow) -> tuple[Suspect, ...]:
    ran_ns = {name: cgroup.run_ns for name, cgroup in window.cgroups.items()}
    return tuple(
        replace(each, within=within.shares(each.cgroup, ran_ns.get(each.cgroup, 0)) or None)
        for each in suspects
    )


def settings(config: DetectionConfig) -> Settings:
    """What a configuration says of detection."""
    rules = tuple(Rule(rule.indicator, cast("Method", rule.method), rule.limit) for rule in config.rules)
    return Settings(
        rules or default_rules(config.budget_per_week),
        Persistence(config.windows, config.exceeded),
        FAST_LASTING_S if config.fast else LASTING_S,
    )
