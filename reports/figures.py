"""Numbers as people read them: the one place where reports round and choose units.

Every renderer takes its figures from here, so that text, JSON, Markdown and HTML never disagree. None is
unavailable and reads `n/a`, never 0.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from agent.documents.codec import Record
from agent.documents.metric import NOT_KNOWN, Better, changed, changed_between, tells_nothing, with_minus
from agent.documents.verdict import Verdict

UNAVAILABLE = "n/a"
SIGNIFICANT_DIGITS = 4
LEAST_P_VALUE = 0.0001
Units = Sequence[tuple[int, str]]
BYTE_UNITS: Units = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
TIME_UNITS: Units = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
MOST_OF_A_UNIT = 100_000
# The parts of a verdict that conclude something. What was measured (trials, pairs, histograms) stays as it is.
CONCLUSIONS = (
    *("effect", "causes", "aggressors", "quality", "self_cost", "efficiency", "capacity"),
    *("metrics", "blame", "matrix", "sweep", "confirmed"),
)
COARSE = ("p_value", "cpu_pct", "alpha")


def rounded(number: float) -> float:
    """Four significant digits; whole from a thousand up."""
    return _plain(float(f"{number:.{SIGNIFICANT_DIGITS}g}") if abs(number) < 1000 else round(number))


def rounded_pct(pct: float) -> float:
    """One decimal."""
    return _plain(round(pct, 1))


def rounded_coarse(number: float) -> float:
    """Two significant digits, for small figures of which the size is all that matters."""
    return _plain(float(f"{number:.2g}"))


def as_shown(verdict: Verdict) -> Verdict:
    """The verdict with each figure of its conclusions rounded as its name says; doing it again changes nothing."""
    shares_pct = apportioned_pct([cause.share_pct for cause in verdict.causes])
    parts = {name: shown(name, getattr(verdict, name)) for name in CONCLUSIONS}
    parts["causes"] = tuple(
        replace(cause, share_pct=share) for cause, share in zip(parts["causes"], shares_pct, strict=True)
    )
    return replace(verdict, **parts)


def shown(name: str, value: Any) -> Any:  # noqa: ANN401  any field of a record
    """A field of a record with every float in it rounded: `_pct` to one decimal, a `COARSE` one to its size.

    Args:
        name: the field's name.
        value: its value: a record or a tuple is gone through, anything else but a float stays as it is.
    """
    if isinstance(value, float):
        if name in COARSE:
            return rounded_coarse(value)
        return rounded_pct(value) if name.endswith("_pct") else rounded(value)
    if isinstance(value, tuple):
        return tuple(shown(name, part) for part in value)
    if isinstance(value, Record):
        names = value.__struct_fields__
        return replace(value, **{each: shown(each, getattr(value, each)) for each in names})
    return value


def apportioned_pct(shares_pct: Sequence[float]) -> list[float]:
    """Shares with one decimal that still sum to their rounded sum (largest remainders go up)."""
    tenths = [share * 10 for share in shares_pct]
    floors = [int(share // 1) for share in tenths]
    missing = round(sum(tenths)) - sum(floors)
    by_remainder = sorted(range(len(tenths)), key=lambda index: floors[index] - tenths[index])
    raised = set(by_remainder[:missing])
    return [(floor + (index in raised)) / 10 for index, floor in enumerate(floors)]


def quantity(number: float | None, unit: str = "") -> str:
    """A measured figure in its own unit: `1.02 s`, `12,345 requests/s`."""
    if number is None:
        return UNAVAILABLE
    value = rounded(number)
    # Decimal, as people read 0.0000003427 and not 3.427e-07.
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{Decimal(f'{value:.{SIGNIFICANT_DIGITS}g}'):f}"
    digits = with_minus(digits)
    return f"{digits}{unit}" if unit.startswith("/") else f"{digits} {unit}".rstrip()


def mean_number(tasks: float | None) -> str:
    """A mean number of tasks, three decimals at most: below a thousandth nobody waited to speak of."""
    return UNAVAILABLE if tasks is None else with_minus(f"{_plain(round(tasks, 3)):,g}")


def percent(pct: float | None) -> str:
    """A share or a change: `57.8 %`."""
    return UNAVAILABLE if pct is None else with_minus(f"{rounded_pct(pct):,.1f} %")


def ratio_pct(ratio: float | None) -> float | None:
    """A ratio from 0 to 1 in per cent."""
    return None if ratio is None else 100 * ratio


def change(slowdown_pct: float | None, better: Better = "lower") -> str:
    """A slowdown of a time, `57.8 %`; of what is better higher the figure's own change, `−36.6 %`."""
    if slowdown_pct is None or better == "lower":
        return percent(slowdown_pct)
    return changed(slowdown_pct, better)


def change_interval(bounds_pct: Sequence[float] | None, better: Better = "lower") -> str:
    """The interval of a `change`; NOT_KNOWN where it tells nothing."""
    if bounds_pct is not None and tells_nothing(bounds_pct):
        return NOT_KNOWN
    if bounds_pct is None or better == "lower":
        return interval(bounds_pct)
    return changed_between(bounds_pct, better)


def coarse_percent(pct: float | None) -> str:
    """A small share of which the size is all that matters: `0.012 %`."""
    return UNAVAILABLE if pct is None else with_minus(f"{Decimal(f'{rounded_coarse(pct):g}'):f} %")


def interval(bounds_pct: Sequence[float] | None) -> str:
    """Both ends of an interval: `51.2 to 64.0 %`."""
    if bounds_pct is None:
        return UNAVAILABLE
    return with_minus(" to ".join(f"{rounded_pct(bound):,.1f}" for bound in bounds_pct) + " %")


def p_value(probability: float | None) -> str:
    """A p-value: `0.0021`, and `<0.0001` below what a permutation can show."""
    if probability is None:
        return UNAVAILABLE
    return f"<{LEAST_P_VALUE}" if probability < LEAST_P_VALUE else f"{rounded_coarse(probability):g}"


def count(number: int | None) -> str:
    """A number of things: `12,000`."""
    return UNAVAILABLE if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """A number of things with their name: `1 pair`, `12 pairs`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def time_ns(ns: float | None) -> str:
    """A time in the unit that suits it, three significant digits: `1.24 ms`, `310 ns`."""
    if ns is None:
        return UNAVAILABLE
    if abs(ns) >= 1000 * TIME_UNITS[0][0]:
        return with_minus(f"{ns / TIME_UNITS[0][0]:,.0f} s")
    shown = float(f"{ns:.3g}")  # rounded first, so that 999.9 ns reads 1 µs
    scale, unit = next((entry for entry in TIME_UNITS if abs(shown) >= entry[0]), TIME_UNITS[-1])
    return with_minus(f"{shown / scale:.3g} {unit}")


def shared_unit(values: Sequence[float | None], units: Units) -> tuple[float, str]:
    """One unit for a column, its scale first: the largest in which the smallest value is not tiny, or the largest is.

    12 µs beside 2 s are 0.012 and 2,000 ms.
    """
    known = [abs(value) for value in values if value]
    smallest, largest = min(known, default=0), max(known, default=0)
    for (scale, unit), (finer, _) in pairwise(units):
        if largest >= scale and (smallest >= scale / 10 or largest >= finer * MOST_OF_A_UNIT):
            return scale, unit
    return units[-1]


def in_unit(value: float | None, scale: float) -> str:
    """A value in the unit of its column, three significant digits, whole from a thousand up; without the unit."""
    if value is None:
        return UNAVAILABLE
    shown = float(f"{value / scale:.3g}")
    return with_minus(f"{value / scale:,.0f}" if abs(shown) >= 1000 else f"{Decimal(f'{shown:.3g}'):f}")


def seconds(duration_s: float | None) -> str:
    """A time given in seconds, in the unit that suits it."""
    return time_ns(None if duration_s is None else duration_s * 1e9)


def _plain(number: float) -> float:
    return number + 0.0  # so that what rounds to nothing is 0 and not -0
