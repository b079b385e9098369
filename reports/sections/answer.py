"""The answer in three lines at most: how much, why and behind whom, what to try. It stands first, and last."""

from collections.abc import Iterator, Sequence

from agent.documents.blame import BlameSummary
from agent.documents.metric import told
from agent.documents.verdict import CauseKind, Compared, Conclusion, Effect, Verdict
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
        yield f"{size(verdict.effect)}{COMPARED[verdict.effect.compared]}{doubt}"
        concluded = verdict.verdict in {Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED}
        yield _cause(verdict) if concluded and verdict.causes else verdict.reason
    if verdict.advice:
        yield f"try: {verdict.advice[0]}"


def size(effect: Effect) -> str:
    """How much slower or faster, from what to what, and within which bounds.

    `2.4× slower (0.177 → 0.419 s; 95 %: 2.3 to 2.5×)`; of a rate `rate −48.3 % (…)`, as nothing is 93.5 % less of it.
    """
    if effect.slowdown_pct is None:
        return UNAVAILABLE
    words, bounds = told(effect.slowdown_pct, effect.ci95_pct, effect.better, effect.metric)
    between = f"{quantity(effect.without)} → {quantity(effect.with_, effect.unit)}"
    return f"{words} ({between}; {f'95 %: {bounds}' if bounds else 'no interval'})"


def _cause(verdict: Verdict) -> str:
    main = max(verdict.causes, key=lambda cause: cause.share_pct)
    what, preposition = HAPPENS[main.cause]
    line = f"{what} ({percent(main.share_pct)} of the additional time)"
    suspects = [entry for entry in verdict.aggressors if entry.cause == main.cause]
    if verdict.verdict is Conclusion.SELF_INFLICTED or not suspects:
        return line
    return f"{line} {preposition} {suspects[0].name} ({percent(suspects[0].share_pct)} of the blame)"


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
