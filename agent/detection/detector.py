"""The detector: windows in, events out. What it keeps of a cgroup is small, and forgotten after the cgroup."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.detection.gates import Evidence, FindQuota, others_pct, pass_gates
from agent.detection.harm import LASTING_S, Harm, WindowTime, moment_of, reach_of
from agent.detection.indicators import IndicatorSample, ipc_of, uneven
from agent.detection.rules import Comparison, Rule, default_rules
from agent.detection.running_baseline import RunningBaseline
from agent.detection.series import Excess, Persistence, Series
from agent.detection.stored_baseline import Baseline
from agent.detection.suspects import BaselineWaits, blamed, judged
from agent.documents.event import Event, EventCause, EventState
from collectors.host.workloads import identify
from collectors.windows import sched
from collectors.windows.entitlement import FindWeights
from collectors.windows.sched import KERNEL, OTHER, CgroupWindow, SchedWindow

# A cgroup that has done nothing for so many windows is gone, or what was usual for it is long past: an hour of 10 s.
FORGOTTEN_AFTER = 360
# Twice as many are remembered as did something in the latest window, within these bounds; of more, those go first that
# have done nothing for longest. Each takes about 2 KB, and where pods come and go, 300 new ones come in a minute.
LEAST_ROOM, MOST_ROOM = 512, 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """What is watched, and for how long it must be off."""

    rules: tuple[Rule, ...] = field(default_factory=default_rules)
    persistence: Persistence = field(default_factory=Persistence)  # of the classic rules
    lasting_s: float = LASTING_S  # of those with a budget


@dataclass(slots=True)
class _Tracked:
    """One cgroup: a series per rule, what is usual beside them, and in which window it last did something."""

    path: str
    series: tuple[Series | Harm, ...]
    seen: int
    baseline_cpus: RunningBaseline = field(default_factory=RunningBaseline)
    baseline_ipc: RunningBaseline = field(default_factory=RunningBaseline)
    baseline_waits: BaselineWaits = field(default_factory=BaselineWaits)


@dataclass(frozen=True, slots=True)
class _Instant:
    """One window, and what holds for all cgroups in it; `moments` are those of the rules with a budget."""

    number: int
    utc_ns: int
    window: SchedWindow
    stolen_pct: float
    moments: tuple[WindowTime, ...]


class Detector:
    """Watches every cgroup by the same rules.

    `find_quota` is asked only when an event is raised on a cgroup that was throttled, `find_weights` when one is raised
    for which neighbours are suspected.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        baseline: Baseline | None = None,
        find_quota: FindQuota = lambda _: None,
        find_weights: FindWeights = lambda _, __: None,
    ) -> None:
        self._settings = settings or Settings()
        self._baseline = baseline or {}
        self._find_quota = find_quota
        self._find_weights = find_weights
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
            if path in window.cgroups
            and any(each.beyond & 1 and each.raised is None for each in tracked.series)
        )

    def step(self, window: SchedWindow, utc_ns: int) -> Sequence[Event]:
        """The events of one more window, which ended at `utc_ns`."""
        self._number += 1
        moments = tuple(
            moment_of(
                utc_ns, window.duration_ns, reach_of(rule.limit, len(self._tracked)), self._settings.lasting_s
            )
            for rule in self._settings.rules
        )
        instant = _Instant(self._number, utc_ns, window, _stolen_pct(window), moments)
        for path in window.cgroups:
            # What has no cgroup of its own is not a workload, nor is what was left in the root.
            if path not in {KERNEL, OTHER, "/"}:
                self._track(path).seen = self._number
        events = [
            replace(event, utc_ns=utc_ns, state=EventState.CLEARED, value=None) for event in self._orphans
        ]
        events += [event for tracked in self._tracked.values() for event in self._cgroup(tracked, instant)]
        self._orphans.clear()
        self._forget(room=min(MOST_ROOM, max(LEAST_ROOM, 2 * len(window.cgroups))))
        return events

    def change(self, settings: Settings) -> None:
        """Go on with other settings: a rule that stays as it was keeps what it knows, and what it has raised.

        What another one had raised is cleared with the next window.
        """
        for tracked in self._tracked.values():
            known = dict(zip(self._settings.rules, tracked.series, strict=True))
            tracked.series = tuple(
                known.pop(rule) if rule in known else _new(rule) for rule in settings.rules
            )
            self._orphans += [series.raised for series in known.values() if series.raised]
        self._settings = settings

    def _track(self, path: str) -> _Tracked:
        tracked = self._tracked.get(path)
        if tracked is None:
            series = tuple(map(_new, self._settings.rules))
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
            for rule, series, at in zip(self._settings.rules, tracked.series, moment.moments, strict=True):
                if isinstance(series, Harm):
                    yield from self._harm(rule, series, tracked, sample, moment, at)
                else:
                    yield from self._series(rule, series, tracked, sample, moment)
        if cgroup is not None and not any(series.beyond for series in tracked.series):
            tracked.baseline_cpus.learn(cgroup.run_ns / moment.window.duration_ns)
            if sample is not None and sample.ipc is not None:
                tracked.baseline_ipc.learn(sample.ipc)
            tracked.baseline_waits.learn(cgroup, moment.window.duration_ns)

    def _harm(  # noqa: PLR0917  the rule on one cgroup in one window, and what it is in
        self,
        rule: Rule,
        harm: Harm,
        tracked: _Tracked,
        sample: IndicatorSample | None,
        moment: _Instant,
        at: WindowTime,
    ) -> Iterator[Event]:
        watched = rule.watched
        value = None if sample is None else watched.value(sample)
        is_due = harm.step(watched, value, at, None if sample is None else sample.cgroup)
        if is_due:
            against = Comparison(harm.baseline(watched), uneven(watched, harm.limit))
            excess = Excess(uneven(watched, harm.level), against)
            harm.raised = self._event(rule, harm, excess, tracked, moment)
            yield harm.raised
        elif harm.is_over and harm.raised is not None:
            yield replace(harm.raised, utc_ns=moment.utc_ns, state=EventState.CLEARED, value=value)
            harm.clear()

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
        self, rule: Rule, series: Series | Harm, excess: Excess, tracked: _Tracked, moment: _Instant
    ) -> Event:
        whole = sched.add(tracked.path, (cgroup for cgroup, _ in series.evidence))
        duration_ns = sum(duration_ns for _, duration_ns in series.evidence)
        gate, findings = pass_gates(
            Evidence(
                cgroup=whole,
                seconds=duration_ns / 1e9,
                baseline_cpus=tracked.baseline_cpus.mean if tracked.baseline_cpus.known else None,
                stolen_pct=moment.stolen_pct,
                ipc=ipc_of(moment.window, tracked.path),
                baseline_ipc=tracked.baseline_ipc.mean if tracked.baseline_ipc.known else None,
                blame_left_out="blame" in moment.window.shed,
                name_of=lambda path: called(path, moment.window) or path,
            ),
            self._find_quota,
        )
        suspects = blamed(
            whole, duration_ns, tracked.baseline_waits, moment.window.cgroups, rule.watched.blames
        )
        lost_ns = whole.throttled_ns if rule.watched.blames == "nobody" else whole.others_ns
        verdict = judged(
            () if gate else suspects,
            tracked.path,
            moment.window.cgroups,
            self._find_weights,
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
            suspects=verdict.suspects,
            entitlement=verdict.entitlement,
            advice=verdict.advice,
            findings=findings,
            cost_cpu_s=round(lost_ns / 1e9, 3),
            others_pct=None if (share := others_pct(whole)) is None else round(share, 1),
        )


def _new(rule: Rule) -> Series | Harm:
    return Harm() if rule.method == "budget" else Series()


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


def called(path: str, window: SchedWindow) -> str | None:
    """What people call a cgroup, as the runtimes' files told in this window, or its path tells; None: its path."""
    known = window.signals.names.get(path) if window.signals else None
    if known is not None:
        return known.name
    workload = identify(path)
    return workload.name if workload.container_id else None
