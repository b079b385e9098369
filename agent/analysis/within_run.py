"""A verdict from one long recording: `jostle compare --within`.

A tenant that is busy at times and quiet at others has done the experiment already, if not at random. The figure is
the stretch, as in `before_after`; windows are compared within cycles (`agent.statistics.cycles`), at the same load of
the victim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from agent.analysis import untracked
from agent.analysis.advice import advise
from agent.analysis.attribution import attribute, document_effect, require_threshold, sampled_pct
from agent.analysis.before_after import (
    LEAST_RUN_RATIO,
    METRIC,
    aggressors_of,
    causes_of,
    commanded,
    pmu_of,
    rooted,
)
from agent.documents.verdict import Aggressor, Cause, Conclusion, Effect, Quality, Verdict
from agent.documents.verdict_parts import Host
from agent.statistics.cycles import Activity, Cycle, Observed, cycles, merged
from agent.statistics.decision import follows, judge
from agent.statistics.effect import EffectEstimate as MeasuredEffect
from agent.statistics.effect import measure
from agent.statistics.sequential import ALPHA
from agent.store.run_file import Run
from collectors.windows.sched import CgroupWindow, SchedWindow, add, is_within, subtree
from probes.errors import UsageError

# Of the tenant's CPU time in its busiest windows: from half of it on it is busy, up to a tenth it is quiet.
BUSY_RATIO, QUIET_RATIO = 0.5, 0.1
# Fewer cycles than this show no spread that is worth the name.
FEWEST_CYCLES = 4
NOT_RANDOM = (
    "nothing was randomised: whatever else came and went with the tenant is in the difference, so this is less "
    "certain than an experiment"
)


@dataclass(frozen=True, slots=True)
class Sides:
    """The windows of the victim that can be used, with what the tenant did in each."""

    victim: tuple[CgroupWindow, ...]
    kinds: tuple[Activity, ...]
    durations_ns: tuple[int, ...]

    def count(self, kind: Activity) -> int:
        """How many there are of a kind."""
        return self.kinds.count(kind)


def compare_within(run: Run, tenant: str, cgroup: str | None, threshold_pct: float) -> Verdict:
    """The verdict on what a tenant's activity cost `cgroup`, or the command that was recorded.

    Raises:
        UsageError: One of the two is not in the recording, or one contains the other; the threshold is not above 0.
    """
    require_threshold(threshold_pct)
    victim, tenant = rooted(cgroup) if cgroup is not None else commanded(run), rooted(tenant)
    if is_within(tenant, victim) or is_within(victim, tenant):
        raise UsageError(
            f"the tenant {tenant} and the victim {victim} are one, or part of one another", "name two cgroups"
        )
    sides = sides_of(run.windows, victim, tenant)
    found, load = matched(sides)
    pairs = merged(found)
    if len(pairs) < FEWEST_CYCLES:
        return _undecided(run, victim, too_few(sides, len(pairs), tenant))
    return _decided(run, victim, measure(pairs, "lower", threshold_pct, ALPHA), _Evidence(sides, found, load))


@dataclass(frozen=True, slots=True)
class _Evidence:
    sides: Sides
    cycles: Sequence[Cycle]
    load: str

    def whole(self, path: str, which: str) -> CgroupWindow:
        windows = [self.sides.victim[index] for cycle in self.cycles for index in getattr(cycle, which)]
        return add(path, windows)


def sides_of(windows: Sequence[SchedWindow], victim: str, tenant: str) -> Sides:
    """The windows in which the victim ran enough to say anything.

    Raises:
        UsageError: The victim or the tenant is in none of them, or the victim hardly ran in any.
    """
    for path in (victim, tenant):
        if not any(is_within(name, path) for window in windows for name in window.cgroups):
            raise UsageError(
                f"the cgroup {path} is not in the recording", "check the path with `jostle report RUN`"
            )
    kinds = classify([_run_ratio(window, tenant) for window in windows])
    usable = [
        (subtree(window.cgroups, victim), kind, window.duration_ns)
        for window, kind in zip(windows, kinds, strict=True)
        if _run_ratio(window, victim) > LEAST_RUN_RATIO
    ]
    if not usable:
        raise UsageError(f"the cgroup {victim} hardly ran in the recording", "record while it works")
    return Sides(*zip(*usable, strict=True))


def classify(run_ratios: Sequence[float]) -> list[Activity]:
    """What a tenant did in each window, by its CPUs' worth of time: against its busiest windows (95th percentile).

    All quiet where even those are next to nothing.
    """
    peak = quantiles(run_ratios, n=20)[-1] if len(run_ratios) > 1 else max(run_ratios)
    if peak <= LEAST_RUN_RATIO:
        return [Activity.QUIET] * len(run_ratios)
    return [
        Activity.BUSY
        if ratio >= BUSY_RATIO * peak
        else Activity.QUIET
        if ratio <= QUIET_RATIO * peak
        else Activity.BETWEEN
        for ratio in run_ratios
    ]


def matched(sides: Sides) -> tuple[list[Cycle], str]:
    """The cycles at equal load, and what the load was taken to be: that by which more busy windows have a match.

    By the time it ran a victim with work of its own pace is alike, tenant or not; by the time it ran or waited one
    that takes all the CPU it can get.
    """
    ran = cycles(_observed(sides, [window.run_ns for window in sides.victim]))
    wanted = cycles(_observed(sides, [window.run_ns + window.wait_ns for window in sides.victim]))
    if _matched_busy(ran) >= _matched_busy(wanted):
        return ran, "the time it ran"
    return wanted, "the time it ran or waited"


def _matched_busy(found: Sequence[Cycle]) -> int:
    return sum(len(cycle.busy) for cycle in found)


def too_few(sides: Sides, pairs: int, tenant: str) -> str:
    """Why the recording decides nothing."""
    quiet, busy = sides.count(Activity.QUIET), sides.count(Activity.BUSY)
    seen = f"{tenant} was busy in {busy} of {len(sides.kinds)} windows and quiet in {quiet}"
    return (
        f"{seen}, which gives {pairs} independent comparisons at the same load of the victim; {FEWEST_CYCLES} are "
        "needed: record longer, over more of its ups and downs"
    )


def _observed(sides: Sides, load_ns: Sequence[int]) -> list[Observed]:
    return [
        Observed(kind, load / duration, (window.run_ns + window.wait_ns) / window.run_ns)
        for window, kind, load, duration in zip(
            sides.victim, sides.kinds, load_ns, sides.durations_ns, strict=True
        )
    ]


def _run_ratio(window: SchedWindow, path: str) -> float:
    return subtree(window.cgroups, path).run_ns / window.duration_ns


def _decided(run: Run, victim: str, effect: MeasuredEffect, evidence: _Evidence) -> Verdict:
    judged = judge(effect.ci95_pct, effect.noise_floor_pct, effect.threshold_pct)
    quiet, busy = evidence.whole(victim, "quiet"), evidence.whole(victim, "busy")
    slowed = effect.slowdown_pct > 0
    causes = causes_of([(quiet, busy)]) if slowed else ()
    shown, unavailable = document_effect(effect, METRIC, "a single cycle shows no spread")
    low, high = effect.ci95_pct or (effect.slowdown_pct, effect.slowdown_pct)
    reason = (
        f"{abs(effect.slowdown_pct):.1f} % {'slower' if slowed else 'faster'} while the tenant was busy (95 % interval "
        f"of the slowdown {low:.1f} to {high:.1f} %, {effect.pairs} comparisons at equal load, by {evidence.load}); "
        f"{follows(judged, effect)}; {NOT_RANDOM}."
    )
    return _verdict(
        run,
        victim,
        attribute(judged, causes),
        reason,
        effect=shown,
        causes=causes,
        aggressors=aggressors_of(quiet, busy) if slowed else (),
        busy=busy,
        unavailable=unavailable,
    )


def _undecided(run: Run, victim: str, why: str) -> Verdict:
    return _verdict(
        run,
        victim,
        Conclusion.INCONCLUSIVE,
        f"{why[:1].upper()}{why[1:]}.",
        effect=None,
        causes=(),
        aggressors=(),
        busy=None,
        unavailable={"effect": why},
    )


def _verdict(
    run: Run,
    victim: str,
    conclusion: Conclusion,
    reason: str,
    *,
    effect: Effect | None,
    causes: tuple[Cause, ...],
    aggressors: tuple[Aggressor, ...],
    busy: CgroupWindow | None,
    unavailable: dict[str, str],
) -> Verdict:
    waited = busy is not None and busy.wait_ns > 0
    if not waited:
        unavailable["quality.blame_residual_pct"] = "the victim was not seen to wait for a CPU"
    quality = Quality(
        ok=False,
        tier=run.meta.get("tier", "unknown"),
        warnings=(
            NOT_RANDOM,
            *(["the recording is partial"] if run.partial else []),
            *untracked.warnings(run.windows),
        ),
        blame_residual_pct=100 * busy.unattributed_ns / busy.wait_ns if busy and waited else None,
        discarded=0,
        pmu=pmu_of(run),
        blame_sampled_pct=sampled_pct(busy.wait_ns, busy.sampled_ns) if busy else None,
    )
    return Verdict(
        verdict=conclusion,
        reason=reason,
        effect=effect,
        causes=causes,
        aggressors=aggressors,
        quality=quality,
        self_cost=None,
        advice=tuple(advise(conclusion, causes, effect, quality)),
        unavailable={**unavailable, "self_cost": "the recording says its own"},
        victim_cgroup=victim,
        host=run.record("host", Host),
    )
