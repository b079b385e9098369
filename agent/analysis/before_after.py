"""A verdict from two recordings made at different times: `jostle compare`.

There is no end-to-end figure in a recording, so the figure is the stretch: seconds that a cgroup ran or waited
per second that it ran, 1 when it never waits. And nothing was randomised: what drifted between the recordings is
in the difference, so the verdict says so and is never `quality.ok`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.analysis import untracked
from agent.analysis.advice import advise
from agent.analysis.attribution import attribute, document_effect, require_threshold, sampled_pct
from agent.documents.metric import STRETCH
from agent.documents.verdict import Aggressor, Cause, CauseKind, Quality, Verdict
from agent.documents.verdict_parts import Host
from agent.statistics import Slowdown, noise_floor, shares
from agent.statistics.decision import Judgement, follows, judge
from agent.statistics.effect import EffectEstimate as MeasuredEffect
from agent.statistics.unpaired import unpaired_p_value, unpaired_slowdown
from agent.store.run_file import Run
from collectors.host.hierarchy import leaf
from collectors.windows.sched import CgroupWindow, add, is_within, subtree, totals
from probes.errors import UsageError

METRIC = STRETCH
# Windows in which the cgroup hardly ran say nothing about how it ran.
LEAST_RUN_RATIO = 0.01
DRIFT = "the recordings were made one after the other: what else changed between them is in the difference"


@dataclass(frozen=True, slots=True)
class Recording:
    """One cgroup in one recording: its windows' stretches, and its sum over all windows."""

    stretches: tuple[float, ...]
    whole: CgroupWindow


def compare(without: Run, with_: Run, cgroup: str | None, threshold_pct: float) -> Verdict:
    """The verdict on `cgroup`, or on the one that both recordings ran as their command.

    Raises:
        UsageError: No cgroup is given or named by both recordings, or it is not in both, or hardly ran; or the
            threshold is not above 0.
    """
    require_threshold(threshold_pct)
    given = None if cgroup is None else rooted(cgroup)
    before = recording_of(without, given or commanded(without), "the first")
    after = recording_of(with_, given or commanded(with_), "the second")
    effect = _effect(before, after, threshold_pct)
    judged = judge(effect.ci95_pct, effect.noise_floor_pct, threshold_pct)
    causes = causes_of([(before.whole, after.whole)])
    conclusion = attribute(judged, causes)
    shown, unavailable = document_effect(effect, METRIC, "a recording has a single window")
    wait_ns = after.whole.wait_ns
    if not wait_ns:
        unavailable["quality.blame_residual_pct"] = "the victim never waited for a CPU"
    quality = Quality(
        ok=False,
        tier=with_.meta.get("tier", "unknown"),
        warnings=(DRIFT, *_doubts(without, with_)),
        blame_residual_pct=100 * after.whole.unattributed_ns / wait_ns if wait_ns else None,
        discarded=0,
        pmu=pmu_of(with_),
        blame_sampled_pct=sampled_pct(wait_ns, after.whole.sampled_ns),
    )
    return Verdict(
        verdict=conclusion,
        reason=_reason(judged, effect),
        effect=shown,
        causes=causes,
        aggressors=aggressors_of(before.whole, after.whole),
        quality=quality,
        self_cost=None,
        advice=tuple(advise(conclusion, causes, shown, quality)),
        unavailable={**unavailable, "self_cost": "the recordings say their own"},
        victim_cgroup=after.whole.path,
        host=with_.record("host", Host),
    )


def pmu_of(run: Run) -> str:
    """Whether the recording has counters, and if not, why."""
    signals = [window.signals for window in run.windows if window.signals is not None]
    if any(window.counters for window in signals):
        return "available"
    refused = next((w.missing["counters.cycles"] for w in signals if "counters.cycles" in w.missing), None)
    return f"unavailable: {refused.reason if refused else 'not in the recordings'}"


def rooted(path: str) -> str:
    """A cgroup's path with its first slash and no last one."""
    return "/" + path.strip("/")


def _doubts(without: Run, with_: Run) -> Iterator[str]:
    for name, run in (("first", without), ("second", with_)):
        if run.partial:
            yield f"the {name} recording is partial"
    if without.record("host", Host) != with_.record("host", Host):
        yield "the recordings are not of the same host"
    yield from untracked.warnings(with_.windows)


def _reason(judged: Judgement, effect: MeasuredEffect) -> str:
    size = (
        f"{abs(effect.slowdown_pct):.1f} % {'slower' if effect.slowdown_pct >= 0 else 'faster'} in the second"
    )
    if effect.ci95_pct is None:
        spread, follow = "a single window", "which cannot tell an effect from noise"
    else:
        low, high = effect.ci95_pct
        spread = f"95 % interval of the slowdown {low:.1f} to {high:.1f} %, {effect.pairs} windows"
        follow = follows(judged, effect)
    return f"{size} recording ({spread}); {follow}; {DRIFT}."


def commanded(run: Run) -> str:
    """The cgroup of the command that a recording ran."""
    path = run.meta.get("command_cgroup")
    if path is None:
        busiest = sorted(totals(run.windows).values(), key=lambda c: -c.wait_ns)[:5]
        raise UsageError(
            "compare needs to know which cgroup is the victim",
            f"give --cgroup PATH; those that waited longest: {', '.join(c.path for c in busiest) or 'none'}",
        )
    return path


def recording_of(run: Run, path: str, which: str) -> Recording:
    """One cgroup, with all below it, in a recording."""
    windows = [subtree(window.cgroups, path) for window in run.windows]
    lengths = [window.duration_ns for window in run.windows]
    stretches = tuple(
        (window.run_ns + window.wait_ns) / window.run_ns
        for window, length in zip(windows, lengths, strict=True)
        if window.run_ns > LEAST_RUN_RATIO * length
    )
    if not stretches:
        known = any(is_within(name, path) for window in run.windows for name in window.cgroups)
        what = "hardly ran" if known else "is not"
        raise UsageError(
            f"the cgroup {path} {what} in {which} recording", "check the path with `jostle report RUN`"
        )
    return Recording(stretches, add(path, windows))


def _effect(before: Recording, after: Recording, threshold_pct: float) -> MeasuredEffect:
    slowdown: Slowdown = unpaired_slowdown(before.stretches, after.stretches)
    return MeasuredEffect(
        without=_mean(before.stretches),
        with_=_mean(after.stretches),
        slowdown_pct=slowdown.pct,
        ci95_pct=slowdown.ci_pct,
        p_value=unpaired_p_value(before.stretches, after.stretches),
        noise_floor_pct=noise_floor(before.stretches) if len(before.stretches) > 1 else None,
        threshold_pct=threshold_pct,
        pairs=min(len(before.stretches), len(after.stretches)),
    )


def causes_of(pairs: Sequence[tuple[CgroupWindow, CgroupWindow]]) -> tuple[Cause, ...]:
    """Where the additional waiting per second of running went, over pairs of (without, with)."""
    terms = [(_per_run_second(without), _per_run_second(with_)) for without, with_ in pairs]
    extra: dict[str, list[float]] = {
        cause: [after[cause] - before[cause] for before, after in terms] for cause in terms[0][0]
    }
    total = [with_.wait_ns / _run_ns(with_) - without.wait_ns / _run_ns(without) for without, with_ in pairs]
    found = shares(extra, total, remainder=CauseKind.UNEXPLAINED)
    return tuple(Cause(CauseKind(share.cause), share.share_pct, share.ci95_pct) for share in found)


def _per_run_second(window: CgroupWindow) -> dict[CauseKind, float]:
    others_ns = sum(wait.wait_ns for wait in window.waited_for.values()) + window.unattributed_ns
    terms = {
        CauseKind.CPU_WAIT: others_ns,
        CauseKind.SELF: window.self_ns,
        CauseKind.THROTTLED: window.throttled_ns,
    }
    return {cause: ns / _run_ns(window) for cause, ns in terms.items()}


def _run_ns(window: CgroupWindow) -> int:
    return max(window.run_ns, 1)


def aggressors_of(without: CgroupWindow, with_: CgroupWindow) -> tuple[Aggressor, ...]:
    """Whom it waited for longer per second of running, the longest first."""

    def wait_ratio(window: CgroupWindow, name: str) -> float:
        wait = window.waited_for.get(name)
        return wait.wait_ns / _run_ns(window) if wait else 0.0

    differences = {name: wait_ratio(with_, name) - wait_ratio(without, name) for name in with_.waited_for}
    extra = {name: value for name, value in differences.items() if value > 0}
    whole = sum(extra.values())
    rows = [
        Aggressor(name, leaf(name), 100 * value / whole, CauseKind.CPU_WAIT) for name, value in extra.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.share_pct))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
