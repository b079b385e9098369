"""The detector: windows in, events out. What it keeps of a cgroup is small, and forgotten after the cgroup."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.detection.gates import Evidence, FindQuota, others_pct, pass_gates
from agent.detection.indicators import IndicatorSample, ipc_of
from agent.detection.rules import DEFAULT_RULES, Rule
from agent.detection.running_baseline import RunningBaseline
from agent.detection.series import Excess, Persistence, Series
from agent.detection.stored_baseline import Baseline
from agent.detection.suspects import BaselineWaits, blamed
from agent.documents.event import Event, EventCause, EventState
from collectors.windows import sched
from collectors.windows.sched import KERNEL, OTHER, CgroupWindow, SchedWindow

# A cgroup that has done nothing for so many windows is gone, or what was usual for it is long past: an hour of 10 s.
FORGOTTEN_AFTER = 360
# Twice as many are remembered as did something in the latest window, within these bounds; of more, those go first that
# have done nothing for longest. Each takes about 2 KB, and where pods come and go, 300 new ones come in a minute.
LEAST_ROOM, MOST_ROOM = 512, 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """What is watched, and for how long it must be off."""

    rules: tuple[Rule, ...] = DEFAULT_RULES
    persistence: Persistence = field(default_factory=Persistence)


@dataclass(slots=True)
class _Tracked:
    """One cgroup: a series per rule, what is usual beside them, and in which window it last did something."""

    path: str
    series: tuple[Series, ...]
    seen: int
    baseline_cpus: RunningBaseline = field(default_factory=RunningBaseline)
    baseline_waits: BaselineWaits = field(default_factory=BaselineWaits)


@dataclass(frozen=True, slots=True)
class _Instant:
    """One window, and what holds for all cgroups in it."""

    number: int
    utc_ns: int
    window: SchedWindow
    stolen_pct: float


class Detector:
    """Watches every cgroup by the same rules.

    `find_quota` is asked only when an event is raised on a cgroup that was throttled.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        baseline: Baseline | None = None,
        find_quota: FindQuota = lambda _: None,
    ) -> None:
        self._settings = settings or Settings()
        self._baseline = baseline or {}
        self._find_quota = find_quota
        self._tracked: dict[str, _Tracked] = {}
        self._orphans: list[Event] = []
        self._number = 0

    @property
    def tracked(self) -> int:
        """How many cgroups it remembers."""
        return len(self._tracked)

    def will_suspect_tasks(self, window: SchedWindow) -> bool:
        """Whether something is beyond its limit that waited most for kernel threads or the root cgroup in this window.

        Who ran within these is then worth reading, before an event on it is raised.
        """
        return any(
            _waited_most_for(window.cgroups[path]) in {KERNEL, "/"}
            for path, tracked in self._tracked.items()
            if path in window.cgroups and any(each.beyond & 1 and not each.raised for each in tracked.series)
        )

    def step(self, window: SchedWindow, utc_ns: int) -> Sequence[Event]:
        """The events of one more window, which ended at `utc_ns`."""
        self._number += 1
        moment = _Instant(self._number, utc_ns, window, _stolen_pct(window))
        for path in window.cgroups:
            # What has no cgroup of its own is not a workload, nor is what was left in the root.
            if path not in {KERNEL, OTHER, "/"}:
                self._track(path).seen = self._number
        events = [
            replace(event, utc_ns=utc_ns, state=EventState.CLEARED, value=None) for event in self._orphans
        ]
        events += [event for tracked in self._tracked.values() for event in self._cgroup(tracked, moment)]
        self._orphans.clear()
        self._forget(room=min(MOST_ROOM, max(LEAST_ROOM, 2 * len(window.cgroups))))
        return events

    def change(self, settings: Settings) -> None:
        """Go on with other settings: a rule that stays as it was keeps what it knows, and what it has raised.

        What another one had raised is cleared with the next window.
        """
        for tracked in self._tracked.values():
            known = dict(zip(self._settings.rules, tracked.series, strict=True))
            tracked.series = tuple(known.pop(rule) if rule in known else Series() for rule in settings.rules)
            self._orphans += [series.raised for series in known.values() if series.raised]
        self._settings = settings

    def _track(self, path: str) -> _Tracked:
        tracked = self._tracked.get(path)
        if tracked is None:
            series = tuple(Series() for _ in self._settings.rules)
            tracked = self._tracked[path] = _Tracked(path, series, self._number)
        return tracked

    def _forget(self, room: int) -> None:
        """Drop what was silent for long, which has been cleared by then, and what is too much."""
        oldest = self._number - FORGOTTEN_AFTER
        gone = [tracked for tracked in self._tracked.values() if tracked.seen <= oldest]
        surplus = len(self._tracked) - len(gone) - room
        if surplus > 0:
            quiet = [each for each in self._tracked.values() if not any(s.raised for s in each.series)]
            gone += sorted(quiet, key=lambda tracked: tracked.seen)[:surplus]
        for tracked in gone:
            self._tracked.pop(tracked.path, None)

    def _cgroup(self, tracked: _Tracked, moment: _Instant) -> Iterator[Event]:
        cgroup = moment.window.cgroups.get(tracked.path)
        sample = None
        if cgroup is not None and not cgroup.is_idle(moment.window.duration_ns):
            sample = IndicatorSample(cgroup, moment.window.duration_ns, ipc_of(moment.window, tracked.path))
        # As most are on most hosts: nothing to judge, and nothing that time would change.
        if sample is not None or not all(series.is_at_rest for series in tracked.series):
            for rule, series in zip(self._settings.rules, tracked.series, strict=True):
                yield from self._series(rule, series, tracked, sample, moment)
        if cgroup is not None and not any(series.beyond for series in tracked.series):
            tracked.baseline_cpus.learn(cgroup.run_ns / moment.window.duration_ns)
            tracked.baseline_waits.learn(cgroup, moment.window.duration_ns)

    def _series(
        self, rule: Rule, series: Series, tracked: _Tracked, sample: IndicatorSample | None, moment: _Instant
    ) -> Iterator[Event]:
        persistence = self._settings.persistence
        value = None if sample is None else rule.watched.value(sample)
        excess = series.judge(rule, value, self._baseline.get((tracked.path, rule.indicator)))
        series.note(persistence, beyond=excess is not None)
        if excess is not None and sample is not None:
            series.keep(sample.cgroup, sample.duration_ns, moment.utc_ns, persistence)
            if series.is_due(persistence):
                series.raised = self._event(rule, series, excess, tracked, moment)
                yield series.raised
        if series.raised is not None and series.is_over(rule):
            yield replace(series.raised, utc_ns=moment.utc_ns, state=EventState.CLEARED, value=value)
            series.clear(rule)

    def _event(
        self, rule: Rule, series: Series, excess: Excess, tracked: _Tracked, moment: _Instant
    ) -> Event:
        whole = sched.add(tracked.path, (cgroup for cgroup, _ in series.evidence))
        duration_ns = sum(duration_ns for _, duration_ns in series.evidence)
        gate, findings = pass_gates(
            Evidence(
                cgroup=whole,
                seconds=duration_ns / 1e9,
                baseline_cpus=tracked.baseline_cpus.mean if tracked.baseline_cpus.known else None,
                stolen_pct=moment.stolen_pct,
                blame_left_out="blame" in moment.window.shed,
            ),
            self._find_quota,
        )
        suspects = blamed(
            whole, duration_ns, tracked.baseline_waits, moment.window.cgroups, rule.watched.blames
        )
        return Event(
            utc_ns=moment.utc_ns,
            state=EventState.RAISED,
            since_utc_ns=series.since_utc_ns,
            victim=tracked.path,
            indicator=rule.indicator,
            unit=rule.watched.unit,
            method=rule.method,
            baseline=excess.against.baseline,
            limit=excess.against.limit,
            value=excess.value,
            cause=_cause(rule, gate, blames=bool(suspects)),
            suspects=() if gate else suspects,
            findings=findings,
            others_pct=None if (share := others_pct(whole)) is None else round(share, 1),
        )


def _cause(rule: Rule, gate: EventCause | None, *, blames: bool) -> EventCause:
    if rule.watched.blames == "nobody":
        return EventCause.THROTTLED
    return gate or (EventCause.NEIGHBOURS if blames else EventCause.UNKNOWN)


def _waited_most_for(cgroup: CgroupWindow) -> str | None:
    waits = cgroup.waited_for
    return max(waits, key=lambda name: waits[name].wait_ns, default=None)


def _stolen_pct(window: SchedWindow) -> float:
    run_ns = sum(cgroup.run_ns for cgroup in window.cgroups.values())
    return 100 * sum(cgroup.stolen_ns for cgroup in window.cgroups.values()) / run_ns if run_ns else 0.0
