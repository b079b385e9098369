"""From single measurements to the document: medians over rounds, and ratios of medians."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from benchmarks.storms import Pass

OURS, REFERENCE, EMPTY = "jostle", "runqlat", "empty program"
SCHEMA = "jostle.bench-overhead/1"


@dataclass(frozen=True, slots=True)
class Visit:
    """One tool under one storm, once. None: it has no BPF programs, or could not be measured undisturbed.

    Attributes:
        ns_per_switch: Time in all BPF programs of the tool, wakeup probes and sweeps included, per context switch
            of the whole machine.
        calls_per_switch: How often these programs ran, likewise.
        hook_ns_per_call: Mean time of its program that ran most often, the one on sched_switch.
        switches_per_s: Context switches of the whole machine while that was measured.
        slowdown_pct: How much more CPU time the storm needed than with nothing loaded just before and after. Its
            tasks keep their CPU busy, so on a quiet machine this is its wall time too.
        slowdown_wall_pct: The same of its wall time, which also grows with what else the CPU has to do: the tool's
            own processes, and those of others.
        attached_s: From the tool's start to the first run of one of its programs.
        rss_mb: Resident memory of the tool's processes, after the storm.
        tool_cpu_pct: CPU time of the tool's processes during the storm, in per cent of one CPU.
    """

    ns_per_switch: float | None
    calls_per_switch: float | None
    hook_ns_per_call: float | None
    switches_per_s: float | None
    attached_s: float | None
    rss_mb: float | None
    tool_cpu_pct: float | None
    slowdown_pct: float | None = None
    slowdown_wall_pct: float | None = None


def with_slowdown(visit: Visit, before: Pass, during: Pass | None, after: Pass) -> Visit:
    """The visit, with how much longer the storm took than the mean of the passes around it.

    A mean of both sides takes out what the machine drifts in between. None as `during`: not measured.
    """
    if during is None:
        return visit
    return replace(
        visit,
        slowdown_pct=_more_pct(before.cpu_s, during.cpu_s, after.cpu_s),
        slowdown_wall_pct=_more_pct(before.wall_s, during.wall_s, after.wall_s),
    )


def _more_pct(before: float, during: float, after: float) -> float:
    return 100 * (during / ((before + after) / 2) - 1)


def medians(visits: Sequence[Visit]) -> dict[str, float | None]:
    """The median of each figure over those visits that have it."""
    rows = [asdict(visit) for visit in visits]
    return {name: median_of(row[name] for row in rows) for name in Visit.__slots__}


def median_of(values: Iterable[float | None]) -> float | None:
    """The median of what is there, or None: nothing is."""
    present = [value for value in values if value is not None]
    return median(present) if present else None


def max_of(values: Iterable[float | None]) -> float | None:
    """The highest of what is there, or None: nothing is."""
    return max((value for value in values if value is not None), default=None)


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Their quotient, where both are known and the denominator is above 0: noise can make a slow-down negative."""
    return numerator / denominator if numerator is not None and denominator and denominator > 0 else None


def net_ns(figures: dict[str, float | None], floor: dict[str, float | None] | None) -> float | None:
    """A tool's time per switch without what an empty program costs at each of its calls."""
    ns, calls = figures["ns_per_switch"], figures["calls_per_switch"]
    if ns is None or calls is None or floor is None:
        return None
    floor_ns = ratio(floor["ns_per_switch"], floor["calls_per_switch"])
    return None if floor_ns is None else max(0.0, ns - calls * floor_ns)


def storm_figures(visits: dict[str, list[Visit]]) -> dict[str, Any]:
    """The figures of one storm: by kind of figure, then by tool."""
    by_tool = {tool: medians(of_tool) for tool, of_tool in visits.items() if of_tool}
    floor = by_tool.get(EMPTY)
    figures: dict[str, Any] = {
        name: {tool: values[name] for tool, values in by_tool.items()} for name in Visit.__slots__
    }
    figures["net_ns_per_switch"] = {tool: net_ns(values, floor) for tool, values in by_tool.items()}
    for key, name in (
        ("ratio_vs_runqlat", "ns_per_switch"),
        ("net_ratio_vs_runqlat", "net_ns_per_switch"),
        ("slowdown_ratio_vs_runqlat", "slowdown_pct"),
    ):
        figures[key] = ratio(figures[name].get(OURS), figures[name].get(REFERENCE))
    return figures


def document(
    storms: dict[str, dict[str, list[Visit]]],
    first_samples_s: tuple[Sequence[float], Sequence[float]],
    missing: dict[str, str],
    context: dict[str, Any],
) -> dict[str, Any]:
    """The whole result; the headline figures are those of the first storm, the memory that of the worst.

    First samples are those of starts that compile, and of starts with what they kept.
    """
    compiled_s, kept_s = first_samples_s
    figures = {name: storm_figures(visits) for name, visits in storms.items()}
    headline = next(iter(figures.values()))
    return {
        "schema": SCHEMA,
        "ns_per_switch": headline["ns_per_switch"],
        "ratio_vs_runqlat": headline["ratio_vs_runqlat"],
        "slowdown_pct": headline["slowdown_pct"],
        "rss_mb": max_of(storm["rss_mb"].get(OURS) for storm in figures.values()),
        "first_sample_s": median_of(compiled_s),
        "first_sample_kept_s": median_of(kept_s),
        "missing": missing,
        "context": context,
        "storms": figures,
        "visits": {
            name: {tool: [asdict(visit) for visit in of_tool] for tool, of_tool in visits.items()}
            for name, visits in storms.items()
        },
    }
