"""Who waited for whom while the neighbours ran: not the victim alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from agent.analysis.trials import TrialResult
from agent.documents.verdict_parts import WaitMatrix
from collectors.host.hierarchy import leaf
from collectors.windows.sched import KERNEL, is_within

# Beside the victim and its neighbours; the others are one column together.
MOST_OTHERS = 6
EVERYONE_ELSE = "everyone else"
NS_PER_MS = 1e6


def wait_matrix(trials: Sequence[TrialResult], names: Mapping[str, str]) -> WaitMatrix:
    """Waits in a mean trial.

    Args:
        trials: At least one.
        names: Display name of each neighbour's cgroup; it and the victim's count with everything below them.
    """
    roots = [trials[0].victim.path, *names]
    waits: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        for waiting, waited_for, wait_ns in _waits(trial):
            waits[_root(waiting, roots), _root(waited_for, roots)] += wait_ns
    rows = [*roots, *_heaviest(waits, roots)]
    columns = [*rows, *([] if KERNEL in rows else [KERNEL]), EVERYONE_ELSE]
    ns_by_cell: Counter[tuple[str, str]] = Counter()
    for (waiting, waited_for), wait_ns in waits.items():
        ns_by_cell[waiting, waited_for if waited_for in columns else EVERYONE_ELSE] += wait_ns
    used = [column for column in columns if any(ns_by_cell[row, column] for row in rows)]
    return WaitMatrix(
        waiting=tuple(names.get(row, leaf(row)) for row in rows),
        waited_for=tuple(names.get(column, leaf(column)) for column in used),
        wait_ms_per_trial=tuple(
            tuple(ns_by_cell[row, column] / NS_PER_MS / len(trials) for column in used) for row in rows
        ),
    )


def _waits(trial: TrialResult) -> Iterator[tuple[str, str, int]]:
    """Who waited for whom and how long, own threads included."""
    for path, cgroup in trial.window.cgroups.items():
        yield path, path, cgroup.self_ns
        for name, wait in cgroup.waited_for.items():
            yield path, name, wait.wait_ns


def _root(path: str, roots: Sequence[str]) -> str:
    return next((root for root in roots if is_within(path, root)), path)


def _heaviest(waits: Mapping[tuple[str, str], int], roots: Sequence[str]) -> list[str]:
    """The other cgroups that waited longest."""
    by_row: Counter[str] = Counter()
    for (waiting, _), wait_ns in waits.items():
        if waiting not in roots and wait_ns:
            by_row[waiting] += wait_ns
    return [path for path, _ in by_row.most_common(MOST_OTHERS)]
