"""Trials to reason about, built from the figures that matter in a test."""

from collections.abc import Mapping
from dataclasses import replace

from agent.analysis.observation import Pairs, TrialResult, VictimObservation, pairs_of
from agent.documents.metric import DURATION, Metric, Sample
from agent.documents.verdict_parts import Arm
from collectors.windows import histogram
from collectors.windows.sched import CgroupWindow, CpuWindow, SchedWindow, WaitFor
from probes.perf_event import CYCLES, INSTRUCTIONS, LLC_LOAD_MISSES, Reading

VICTIM, NEIGHBOUR, OTHER = "/jostle-1/victim", "/jostle-1/neighbour-1", "/system.slice/cron.service"
NS = 10**9


def cgroup(
    run_s: float = 0.0,
    waits_s: Mapping[str, float] | None = None,
    *,
    self_s: float = 0.0,
    throttled_s: float = 0.0,
    unattributed_s: float = 0.0,
    stolen_s: float = 0.0,
    path: str = VICTIM,
) -> CgroupWindow:
    """A window of one cgroup that ran, and waited: for others by name, and for other reasons."""
    waits = {name: WaitFor(round(wait_s * NS), 1) for name, wait_s in (waits_s or {}).items()}
    own_ns, throttled_ns, lost_ns = round(self_s * NS), round(throttled_s * NS), round(unattributed_s * NS)
    return CgroupWindow(
        path=path,
        run_ns=round(run_s * NS),
        wait_ns=sum(wait.wait_ns for wait in waits.values()) + own_ns + throttled_ns + lost_ns,
        self_ns=own_ns,
        wakeup_ns=0,
        throttled_ns=throttled_ns,
        unattributed_ns=lost_ns,
        preempt_wait_ns=0,
        stolen_ns=round(stolen_s * NS),
        switches=10,
        preempted_own=1,
        preempted_foreign=2,
        preempted_throttled=3,
        sampled_ns=0,
        histogram=(0,) * len(histogram.EDGES_NS),
        waited_for=waits,
    )


def window(*cgroups: CgroupWindow, duration_s: float = 1.0) -> SchedWindow:
    return SchedWindow(
        end_ns=0,
        duration_ns=round(duration_s * NS),
        cgroups={each.path: each for each in cgroups},
        cpus=(CpuWindow(1.0, 0.5, 1000),),
        untracked=0,
    )


def trial(
    arm: Arm = Arm.WITHOUT,
    duration_s: float = 1.0,
    *,
    index: int = 1,
    block: int = 0,
    victim: CgroupWindow | None = None,
    others_run_s: Mapping[str, float] | None = None,
    value: float | None = None,
    metric: Metric = DURATION,
    void: str | None = None,
    counted: Mapping[str, Reading] | None = None,
) -> TrialResult:
    whole = victim or cgroup(duration_s)
    seen = VictimObservation(
        duration_s=duration_s,
        samples=() if void else (Sample(metric, duration_s if value is None else value),),
        victim=whole,
        others_run_ns={path: round(run_s * NS) for path, run_s in (others_run_s or {}).items()},
        counted=counted or {},
    )
    return TrialResult(index, block, arm, seen, window(whole, duration_s=duration_s), void)


def seen_as(result: TrialResult, **changes: object) -> TrialResult:
    """The same trial, with other figures in what is compared of it."""
    return replace(result, seen=replace(result.seen, **changes))  # type: ignore[arg-type]  # each of its own type


def instructions(
    number: int, cycles: int, ratio: float = 1.0, llc_misses: int | None = None
) -> dict[str, Reading]:
    """What was counted, in events that had a register for this share of the time."""
    counts = {INSTRUCTIONS: number, CYCLES: cycles, LLC_LOAD_MISSES: llc_misses}
    return {
        event.name: Reading(round(count * ratio), NS, round(NS * ratio))
        for event, count in counts.items()
        if count is not None
    }


def pair(without: TrialResult, with_: TrialResult) -> Pairs:
    return pairs_of([(without, with_)])
