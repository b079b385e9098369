"""The answer in three lines at most: how much, why and behind whom, what to try. It stands first, and last."""

from collections.abc import Iterator, Sequence

from agent.documents.blame import BlameSummary
from agent.documents.metric import changed, changed_between, described_change, slower
from agent.documents.verdict import (
    CauseKind,
    Compared,
    Conclusion,
    Effect,
    Verdict,
    enumerated,
    first_together,
    unseen,
)
from agent.documents.verdict_parts import RemedyEffect, SweepPoint
from reports.figures import UNAVAILABLE, percent, quantity, seconds, time_ns

MOST_WAITED_FOR = 3

HAPPENS = {
    CauseKind.CPU_WAIT: ("waits for a CPU", "behind"),
    CauseKind.PREEMPTION: ("loses its CPU", "to"),
    CauseKind.MICROARCHITECTURE: ("runs slower while it has a CPU", "beside"),
    CauseKind.CACHE: ("misses the cache more often", "beside"),
    CauseKind.MEMORY_BANDWIDTH: ("waits for memory", "beside"),
    CauseKind.SMT: ("shares its cores", "with"),
    CauseKind.FREQUENCY: ("runs at a lower CPU frequency", "beside"),
    CauseKind.THROTTLED: ("is stopped by a CPU quota", "shared with"),
    CauseKind.STEAL: ("loses its CPU to the hypervisor", "beside"),
    CauseKind.INTERRUPTS: ("is interrupted more", "beside"),
    CauseKind.IO: ("waits for I/O", "behind"),
    CauseKind.NETWORK: ("waits for its packets to be sent", "behind"),
    CauseKind.MEMORY_PRESSURE: ("waits for memory to be freed", "beside"),
    CauseKind.SELF: ("waits for its own threads", "beside"),
    CauseKind.UNEXPLAINED: ("is slower for a reason that is not known", "beside"),
}
"""What happens to the victim by each cause, and the word before whom it is charged to."""

COMPARED = {
    None: "",
    Compared.RECORDINGS: " in the second recording",
    Compared.WINDOWS: " while the tenant is busy",
}


def verdict_answer(verdict: Verdict) -> tuple[str, ...]:
    """The answer of a verdict whose figures are rounded: one to three lines."""
    return tuple(_verdict_lines(verdict))


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    doubt = "" if verdict.quality.ok else "; doubtful, see the warnings"
    if verdict.effect is None or verdict.effect.slowdown_pct is None:
        yield f"{verdict.reason.removesuffix('.')}{doubt}"
    else:
        yield f"{_failing(verdict)}{size(verdict.effect)}{COMPARED[verdict.effect.compared]}{doubt}"
        concluded = verdict.verdict in {Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED}
        yield _cause(verdict) if concluded and verdict.causes else verdict.reason
    if best := best_remedy(verdict):
        bounds = "" if best.ci95_pct is None else f", {changed_between(best.ci95_pct, 'lower')}"
        yield f"try: {best.remedy}; measured: {slower(best.slowdown_pct)} without it{bounds}: {best.apply[0]}"
    elif verdict.sweep and verdict.effect and verdict.verdict is Conclusion.INTERFERENCE:
        yield f"try: {_dose(verdict.sweep, verdict.effect)}"
    elif verdict.advice:
        yield f"try: {verdict.advice[0]}"


def best_remedy(verdict: Verdict) -> RemedyEffect | None:
    """The one that gives back most for certain, and that can be kept: not stopping."""
    rows = [row for row in verdict.remedies or () if row.apply and row.remedy != "stop"]
    return next((row for row in rows if row.ci95_pct and row.ci95_pct[0] > 0), None)


def _dose(points: Sequence[SweepPoint], effect: Effect) -> str:
    """What a CPU quota for the neighbours was seen to give back, level by level."""
    seen = [
        f"{changed(each.slowdown_pct, effect.better)} at {each.level_pct:g} %"
        for each in points
        if each.level_pct
    ]
    of = "of the CPUs that they may use"
    return f"a CPU quota for the neighbours; measured: {effect.metric} {seen[0]} {of}, {', '.join(seen[1:])}"


def _failing(verdict: Verdict) -> str:
    """What failed, where that is the interference and no slowdown is."""
    effect = verdict.effect
    if verdict.verdict is not Conclusion.INTERFERENCE or effect is None or effect.ci95_pct is None:
        return ""
    if effect.ci95_pct[0] > effect.threshold_pct:
        return ""
    more = [row for row in verdict.failures or () if row.with_ > row.without]
    return "".join(f"{row.what}: {quantity(row.without)} → {quantity(row.with_)}; " for row in more)


def size(effect: Effect) -> str:
    """How much slower or faster, from what to what, and within which bounds.

    `2.4× slower (0.177 → 0.419 s; 95 %: 2.3 to 2.5×)`; of a rate `rate −48.3 % (…)`, as nothing is 93.5 % less of it.
    """
    if effect.slowdown_pct is None:
        return UNAVAILABLE
    words, bounds = described_change(effect.slowdown_pct, effect.ci95_pct, effect.better, effect.metric)
    between = f"{quantity(effect.without)} → {quantity(effect.with_, effect.unit)}"
    return f"{words} ({between}; {f'95 %: {bounds}' if bounds else 'no interval'})"


def _cause(verdict: Verdict) -> str:
    main = max(verdict.causes, key=lambda cause: cause.share_pct)
    what, preposition = HAPPENS[main.cause]
    asleep = _asleep(verdict) if main.cause is CauseKind.UNEXPLAINED else ""
    line = f"{asleep or what} ({percent(main.share_pct)} of the additional time)"
    suspects = [entry for entry in verdict.aggressors if entry.cause == main.cause]
    if verdict.verdict is Conclusion.SELF_INFLICTED:
        return line
    if not suspects:
        return f"{line}; nobody was seen behind it" if main in unseen(verdict) else line
    # Each beside its share: of two lists a reader would have to count along.
    first, *others = first_together(suspects)
    told = [f"{first.name} ({percent(first.share_pct)} of it, {first.witness})"]
    told += [f"{entry.name} ({percent(entry.share_pct)})" for entry in others]
    return f"{line} {preposition} {enumerated(told)}"


def _asleep(verdict: Verdict) -> str:
    """What is known of a time that nothing explains: what it slept on for longest more, and who held that."""
    longer = [row for row in verdict.blocked or () if row.with_s > row.without_s]
    if not longer:
        return ""
    first = max(longer, key=lambda row: row.with_s - row.without_s)
    what = f" ({first.what})" if first.what else ""
    holder = f", held by {first.holder}" if first.holder else ""
    return f"sleeps longer on: {first.on}{what}{holder}"


def blame_answer(blame: BlameSummary, named: Sequence[str]) -> tuple[str, ...]:
    """The answer of a blame whose figures are rounded: how long it waited, and for whom most.

    Args:
        blame: What was found.
        named: What each of its parts is called, in their order.
    """
    time = f"in {seconds(blame.duration_s)}"
    ran = f"it ran {quantity(blame.run_ms, 'ms')}"
    if not blame.parts:
        return (f"{blame.name} never waited for a CPU {time}; {ran}",)
    longest = "" if blame.wait_p99_ns is None else f" (p99 of a wait {time_ns(blame.wait_p99_ns)})"
    parts = zip(named[:MOST_WAITED_FOR], blame.parts, strict=False)
    return (
        f"{blame.name} waited {quantity(blame.wait_ms, 'ms')} for a CPU {time}{longest}; {ran}",
        "for " + ", ".join(f"{name} {percent(part.share_pct)}" for name, part in parts),
        *(f"try: {sentence}" for sentence in blame.advice[:1]),
    )
