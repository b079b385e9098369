"""A verdict as every report shows it: each figure rounded once, here, whatever the format.

What was measured (trials, pairs, histograms) stays as it is: it is data, not a conclusion.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from agent.documents.verdict import Aggressor, Cause, Effect, SelfCost, Verdict
from agent.documents.verdict_parts import (
    Blame,
    Confirmation,
    Efficiency,
    Interval,
    SecondaryMetric,
    SweepPoint,
    WaitMatrix,
)
from reports.figures import rounded, rounded_coarse, rounded_pct

Record = TypeVar("Record")


def as_shown(verdict: Verdict) -> Verdict:
    """The verdict with its conclusions rounded. Doing it again changes nothing."""
    return replace(
        verdict,
        effect=None if verdict.effect is None else _effect(verdict.effect),
        causes=_causes(verdict.causes),
        aggressors=tuple(_aggressor(entry) for entry in verdict.aggressors),
        quality=replace(
            verdict.quality,
            blame_residual_pct=_pct(verdict.quality.blame_residual_pct),
            blame_sampled_pct=_pct(verdict.quality.blame_sampled_pct),
        ),
        self_cost=None if verdict.self_cost is None else _self_cost(verdict.self_cost),
        efficiency=None if verdict.efficiency is None else _efficiency(verdict.efficiency),
        metrics=_each(_metric, verdict.metrics),
        blame=_each(_blame, verdict.blame),
        matrix=None if verdict.matrix is None else _matrix(verdict.matrix),
        sweep=_each(_sweep_point, verdict.sweep),
        confirmed=_each(_confirmation, verdict.confirmed),
    )


def apportioned_pct(shares_pct: Sequence[float]) -> list[float]:
    """Shares with one decimal that still sum to their rounded sum (largest remainders go up)."""
    tenths = [share * 10 for share in shares_pct]
    floors = [int(share // 1) for share in tenths]
    missing = round(sum(tenths)) - sum(floors)
    by_remainder = sorted(range(len(tenths)), key=lambda index: floors[index] - tenths[index])
    raised = set(by_remainder[:missing])
    return [(floor + (index in raised)) / 10 for index, floor in enumerate(floors)]


def _effect(effect: Effect) -> Effect:
    return replace(
        effect,
        without=_rounded(effect.without),
        with_=_rounded(effect.with_),
        slowdown_pct=_pct(effect.slowdown_pct),
        ci95_pct=_interval(effect.ci95_pct),
        p_value=_coarse(effect.p_value),
        noise_floor_pct=_pct(effect.noise_floor_pct),
        threshold_pct=rounded_pct(effect.threshold_pct),
    )


def _causes(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    shares = apportioned_pct([cause.share_pct for cause in causes])
    return tuple(
        replace(cause, share_pct=share, ci95_pct=_interval(cause.ci95_pct))
        for cause, share in zip(causes, shares, strict=True)
    )


def _aggressor(entry: Aggressor) -> Aggressor:
    return replace(entry, share_pct=rounded_pct(entry.share_pct))


def _blame(entry: Blame) -> Blame:
    return replace(
        entry, wait_ms_per_trial=rounded(entry.wait_ms_per_trial), share_pct=rounded_pct(entry.share_pct)
    )


def _matrix(matrix: WaitMatrix) -> WaitMatrix:
    return replace(
        matrix, wait_ms_per_trial=tuple(tuple(map(rounded, row)) for row in matrix.wait_ms_per_trial)
    )


def _confirmation(entry: Confirmation) -> Confirmation:
    return replace(entry, slowdown_pct=rounded_pct(entry.slowdown_pct), ci95_pct=_interval(entry.ci95_pct))


def _sweep_point(point: SweepPoint) -> SweepPoint:
    return SweepPoint(
        rounded_pct(point.level_pct),
        rounded_pct(point.slowdown_pct),
        _interval(point.ci95_pct),
        _pct(point.fitted_pct),
        _rounded(point.used_cpus),
    )


def _metric(metric: SecondaryMetric) -> SecondaryMetric:
    return replace(
        metric,
        without=rounded(metric.without),
        with_=rounded(metric.with_),
        slowdown_pct=rounded_pct(metric.slowdown_pct),
        ci95_pct=_interval(metric.ci95_pct),
        p_value=_coarse(metric.p_value),
    )


def _self_cost(cost: SelfCost) -> SelfCost:
    return SelfCost(
        _rounded(cost.ns_per_switch),
        _rounded(cost.switches_per_s),
        _coarse(cost.cpu_pct),
        _rounded(cost.counters_ns_per_switch),
    )


def _efficiency(found: Efficiency) -> Efficiency:
    return Efficiency(
        found.measure,
        cpu_s_without=_rounded(found.cpu_s_without),
        cpu_s_with=_rounded(found.cpu_s_with),
        ipc_without=_rounded(found.ipc_without),
        ipc_with=_rounded(found.ipc_with),
        llc_misses_without=_rounded(found.llc_misses_without),
        llc_misses_with=_rounded(found.llc_misses_with),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else rounded(number)


def _pct(pct: float | None) -> float | None:
    return None if pct is None else rounded_pct(pct)


def _coarse(number: float | None) -> float | None:
    return None if number is None else rounded_coarse(number)


def _interval(interval: Interval | None) -> Interval | None:
    return None if interval is None else (rounded_pct(interval[0]), rounded_pct(interval[1]))


def _each(
    rounding: Callable[[Record], Record], records: tuple[Record, ...] | None
) -> tuple[Record, ...] | None:
    return None if records is None else tuple(rounding(record) for record in records)
