"""The answer in three lines at most: how much, why and behind whom, what to try. It stands first, and last."""

from collections.abc import Iterator, Sequence

from agent.documents.blame import BlameSummary, Charge
from agent.documents.metric import change_pct, factor
from agent.documents.verdict import CauseKind, Compared, Conclusion, Effect, Verdict
from reports.figures import UNAVAILABLE, percent, quantity, rounded_pct, seconds, time_ns

TIMES_FROM_PCT = 100.0
"""From here on a slowdown is said as a factor: 2.4× is understood where 140 % is not."""
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
    words, bounds = _change(effect.slowdown_pct, effect.ci95_pct, effect)
    between = f"{quantity(effect.without)} → {quantity(effect.with_, effect.unit)}"
    return f"{words} ({between}; {f'95 %: {bounds}' if bounds else 'no interval'})"


def _change(pct: float, ci95_pct: Sequence[float] | None, effect: Effect) -> tuple[str, str]:
    if effect.better == "higher":
        changes = [change_pct(bound, effect.better) for bound in (pct, *reversed(ci95_pct or ()))]
        said = [UNAVAILABLE if change is None else signed(change) for change in changes]
        return f"{effect.metric} {said[0]} %", f"{said[1]} to {said[2]} %" if ci95_pct else ""
    if pct >= TIMES_FROM_PCT:
        bounds = " to ".join(times(factor(bound)) for bound in ci95_pct or ())
        return f"{times(factor(pct))}× slower", f"{bounds}×" if bounds else ""
    bounds = " to ".join(map(signed, ci95_pct or ()))
    return slower(pct), f"{bounds} %" if bounds else ""


def times(number: float) -> str:
    """A factor: `2.4`, and whole from 10 up."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def slower(pct: float) -> str:
    """A change in words: `57.8 % slower`, `3.0 % faster`, `no slower` where it rounds to nothing."""
    if rounded_pct(pct) == 0:
        return "no slower"
    return f"{percent(abs(pct))} {'slower' if pct > 0 else 'faster'}"


def signed(pct: float) -> str:
    """A change with its sign, without the unit: `+12.0`, `−48.3`, `0.0`."""
    value = rounded_pct(pct)
    return f"{value:+,.1f}".replace("-", "−") if value else "0.0"


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
        *(f"try: {sentence}" for sentence in TO_TRY.get(blame.parts[0].charge, ())),
    )


TO_TRY: dict[Charge, tuple[str, ...]] = {
    Charge.CGROUP: (
        "a lower cpu.weight or a CPU quota for the first of them, or other CPUs for one of the two",
    ),
    Charge.SELF: ("fewer threads, or more CPUs: it waits for itself",),
    Charge.THROTTLED: ("a larger CPU quota for it, or for what it lies in",),
}
