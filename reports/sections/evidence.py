"""What lies behind a verdict, as sections: pairs, trials, blame and waits."""

from itertools import pairwise

from agent.documents.metric import Better
from agent.documents.verdict import Effect, Verdict
from agent.documents.verdict_parts import Capacity, Efficiency, Trial, WaitHistograms, WaitMatrix
from reports.figures import change, count, counted, percent, quantity, time_ns
from reports.sections.model import (
    CGROUP,
    NAME,
    Cells,
    Facts,
    Kind,
    Table,
    TableColumn,
    by_column,
    figure_columns,
    figures,
    times,
)


def judged(effect: Effect | None) -> tuple[str, Better]:
    """What the change of the primary metric is called, and which way is better."""
    better = "lower" if effect is None else effect.better
    return "Slowdown" if better == "lower" else "Change", better


def pair_table(verdict: Verdict) -> Table:
    """The primary metric in both trials of each block."""
    unit = "" if verdict.effect is None else verdict.effect.unit
    what, better = judged(verdict.effect)
    return Table(
        "Pairs of trials",
        figure_columns("Block", "Without", "With", what),
        tuple(
            (
                count(pair.block),
                quantity(pair.without, unit),
                quantity(pair.with_, unit),
                change(pair.slowdown_pct, better),
            )
            for pair in verdict.pairs or ()
        ),
    )


def capacity_facts(found: Capacity) -> Facts:
    """What the slowdown costs, in CPUs and, where their price was given, in money."""
    cpus, bounds, money = quantity(found.cpus_with), found.ci95_cpus_with, found.ci95_extra_cost
    of_cpus = f" (95 %: {quantity(bounds[0])} to {quantity(bounds[1])})" if bounds else ""
    of_money = f" (95 %: {quantity(money[0])} to {quantity(money[1])})" if money else ""
    rows = [("The same work needs", f"{cpus} CPUs{of_cpus} where {quantity(found.cpus_without)} did")]
    if found.extra_cost is not None:
        what = f"{counted(found.instances, 'instance')} at {quantity(found.cpu_cost)} per CPU"
        rows.append(("More a year", f"{quantity(found.extra_cost)}{of_money}, {what}"))
    return Facts("What it costs", tuple(rows))


def efficiency_table(found: Efficiency) -> Table:
    """What the victim got out of its time on the CPUs, in both arms."""
    rows = (
        ("CPU time per unit of work", found.cpu_s_without, found.cpu_s_with, "s"),
        ("Instructions per cycle", found.ipc_without, found.ipc_with, ""),
        ("Cache misses", found.llc_misses_without, found.llc_misses_with, ""),
    )
    return Table(
        "What its CPU time gave the victim",
        (TableColumn("Figure"), *figure_columns("Without", "With")),
        tuple(
            (what, quantity(before, unit), quantity(after, unit))
            for what, before, after, unit in rows
            if before is not None and after is not None
        ),
        note=f"A CPU made slower by neighbours shows in the {found.measure}. Cache misses are of the last level, "
        "per 1,000 instructions."
        if found.ipc_without is not None
        else f"A CPU made slower by neighbours shows in the {found.measure}, which stands in for cycles per "
        "instruction: those were not counted.",
    )


def blame_table(verdict: Verdict) -> Table:
    """Whom the victim waited for in a mean trial with the neighbours."""
    return Table(
        "Whom the victim waited for",
        (*figure_columns("Wait per trial", "Share"), NAME, CGROUP),
        tuple(
            (quantity(entry.wait_ms_per_trial, "ms"), percent(entry.share_pct), entry.name, entry.cgroup)
            for entry in verdict.blame or ()
        ),
    )


def matrix_table(matrix: WaitMatrix) -> Table:
    """Who waited for whom in a mean trial with the neighbours."""
    return Table(
        "Who waited for whom",
        (TableColumn("Waiting (ms)", Kind.NAME), *figure_columns(*matrix.waited_for)),
        tuple(
            (name, *map(quantity, row))
            for name, row in zip(matrix.waiting, matrix.wait_ms_per_trial, strict=True)
        ),
        note="Milliseconds per mean trial with the neighbours: each row waited while the cgroup of the column "
        "ran on its CPU; in its own column, while its own threads did.",
    )


def trial_table(trials: tuple[Trial, ...]) -> Table:
    """Every trial in the order they ran; those that do not count are named with the reason below."""
    return by_column(
        "Trials",
        figures("Trial", (trial.index for trial in trials), count),
        figures("Block", (trial.block for trial in trials), count),
        Cells(
            TableColumn("Neighbours"),
            tuple(f"{trial.arm}, void" if trial.void else trial.arm for trial in trials),
        ),
        figures("Duration (s)", (trial.duration_s for trial in trials), quantity),
        times("Run", (trial.run_ns for trial in trials)),
        times("Wait", (trial.wait_ns for trial in trials)),
        times("Throttled", (trial.throttled_ns for trial in trials)),
        figures("Preempted", (trial.preempted for trial in trials), count),
        note=_voids(trials),
    )


def _voids(trials: tuple[Trial, ...]) -> str:
    """Which trials do not count, by reason; nothing where all count."""
    by_reason: dict[str, list[str]] = {}
    for trial in trials:
        if trial.void:
            by_reason.setdefault(trial.void, []).append(count(trial.index))
    told = (f"{', '.join(numbers)} ({reason})" for reason, numbers in by_reason.items())
    return f"Void, and not counted: {'; '.join(told)}." if by_reason else ""


def histogram_table(histograms: WaitHistograms) -> Table:
    """How many waits fell into each bucket, in both arms."""
    edges = [0.0, *histograms.edges_ns]
    return Table(
        "Waits for a CPU, by length",
        (TableColumn("Length"), *figure_columns("Without", "With")),
        tuple(
            (bucket(low, high), count(without), count(with_))
            for (low, high), without, with_ in zip(
                pairwise(edges), histograms.without, histograms.with_, strict=True
            )
            if without or with_
        ),
        note="Lengths that no wait had are left out.",
    )


def bucket(low_ns: float | None, high_ns: float | None) -> str:
    """A range of waits by its borders; the last is open."""
    return f"over {time_ns(low_ns)}" if high_ns is None else f"{time_ns(low_ns)} to {time_ns(high_ns)}"
