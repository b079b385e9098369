"""A verdict from one long recording: `jostle compare --within`.

A tenant that is busy at times and quiet at others has done the experiment already, if not at random. Windows are
compared within cycles (`agent.statistics.cycles`), at the same load of the victim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from agent.analysis.observation import LEAST_RUN_RATIO, VictimObservation, observe, stretch
from agent.analysis.recordings import (
    RecordingComparison,
    VictimWindow,
    comparison_verdict,
    recorded_cgroup,
    undecided_verdict,
    victim_windows,
)
from agent.documents.metric import require_threshold
from agent.documents.verdict import Compared, Verdict
from agent.documents.verdict_parts import Witness
from agent.statistics.cycles import Activity, Cycle, Observed, cycles, merged
from agent.statistics.design import ALPHA
from agent.statistics.effect import measure
from agent.store.recorded import names_of
from agent.store.run_file import Run
from collectors.host.hierarchy import is_within
from collectors.windows.sched import subtree
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
class TenantWindow:
    """A window that can be used, and what the tenant did in it."""

    of: VictimWindow
    kind: Activity


def compare_within(run: Run, tenant: str, cgroup: str | None, threshold_pct: float) -> Verdict:
    """The verdict on what a tenant's activity cost `cgroup`, or the command that was recorded.

    Raises:
        UsageError: One of the two is not in the recording, or one contains the other; the threshold is not above 0.
    """
    require_threshold(threshold_pct)
    victim, tenant = recorded_cgroup(run, cgroup, "the"), recorded_cgroup(run, tenant, "the")
    if is_within(tenant, victim) or is_within(victim, tenant):
        raise UsageError(
            f"the tenant {tenant} and the victim {victim} are one, or part of one another", "name two cgroups"
        )
    windows = usable_windows(run, victim, tenant)
    found, load = matched(windows)
    pairs = merged(found)
    doubts = ["the recording is partial"] if run.partial else []
    if len(pairs) < FEWEST_CYCLES:
        why = too_few(windows, len(pairs), tenant)
        return undecided_verdict(run, victim, Compared.WINDOWS, why, [NOT_RANDOM, *doubts])

    def seen(indices: Sequence[int]) -> VictimObservation:
        return observe([windows[index].of.window for index in indices], victim, [tenant])

    return comparison_verdict(
        RecordingComparison(
            run=run,
            windows=run.windows,
            victim=victim,
            compared=Compared.WINDOWS,
            pairs=[(seen(cycle.quiet), seen(cycle.busy)) for cycle in found],
            effect=measure(pairs, "lower", threshold_pct, ALPHA),
            when=f"while the tenant was busy, at equal load by {load}",
            unit="comparison",
            caveats=[NOT_RANDOM],
            warnings=doubts,
            neighbours={tenant: names_of(run)(tenant)},
            sole=Witness.CORRELATED,
        )
    )


def usable_windows(run: Run, victim: str, tenant: str) -> list[TenantWindow]:
    """The windows in which the victim ran enough to say anything.

    Raises:
        UsageError: There is none.
    """
    ratios = [subtree(window.cgroups, tenant).run_ns / window.duration_ns for window in run.windows]
    kinds = {id(window): kind for window, kind in zip(run.windows, classify(ratios), strict=True)}
    return [TenantWindow(each, kinds[id(each.window)]) for each in victim_windows(run, victim, "the")]


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


def matched(windows: Sequence[TenantWindow]) -> tuple[list[Cycle], str]:
    """The cycles at equal load, and what the load was taken to be: that by which more busy windows have a match.

    By the time it ran a victim with work of its own pace is alike, tenant or not; by the time it ran or waited one
    that takes all the CPU it can get.
    """
    victims = [window.of.victim for window in windows]
    ran = cycles(_observed(windows, [victim.run_ns for victim in victims]))
    wanted = cycles(_observed(windows, [victim.run_ns + victim.wait_ns for victim in victims]))
    if _matched_busy(ran) >= _matched_busy(wanted):
        return ran, "the time it ran"
    return wanted, "the time it ran or waited"


def _matched_busy(found: Sequence[Cycle]) -> int:
    return sum(len(cycle.busy) for cycle in found)


def too_few(windows: Sequence[TenantWindow], pairs: int, tenant: str) -> str:
    """Why the recording decides nothing."""
    kinds = [window.kind for window in windows]
    seen = (
        f"{tenant} was busy in {kinds.count(Activity.BUSY)} of {len(kinds)} windows and quiet in "
        f"{kinds.count(Activity.QUIET)}"
    )
    return (
        f"{seen}, which gives {pairs} independent comparisons at the same load of the victim; {FEWEST_CYCLES} are "
        "needed: record longer, over more of its ups and downs"
    )


def _observed(windows: Sequence[TenantWindow], load_ns: Sequence[int]) -> list[Observed]:
    return [
        Observed(window.kind, load / window.of.window.duration_ns, stretch(window.of.victim))
        for window, load in zip(windows, load_ns, strict=True)
    ]
