"""What lies behind a recording's summary, as sections: waits over time, by length, and who waited for whom."""

from collections.abc import Iterator
from itertools import pairwise

from agent.documents.run_details import RunDetails, RunMatrix
from reports.figures import count, quantity, time_ns
from reports.sections.detail import bucket
from reports.sections.model import Column, Kind, Table, figure_columns

OVER_TIME = "Tasks waiting over time"
BY_LENGTH = "Waits for a CPU, by length"
MATRIX = "Who waited for whom, at a glance"
LONGEST = "The cgroups that waited longest."


def detail_sections(details: RunDetails | None) -> Iterator[Table]:
    """Nothing where nobody waited."""
    if details is None or not details.by_length:
        return
    yield _time_table(details)
    yield _length_table(details)
    yield _matrix_table(details.matrix)


def _time_table(details: RunDetails) -> Table:
    values = zip(*(cgroup.mean_waiting for cgroup in details.over_time), strict=True)
    return Table(
        OVER_TIME,
        figure_columns("From (s)", "To (s)", *(cgroup.name for cgroup in details.over_time)),
        tuple(
            (quantity(moment.begin_s), quantity(moment.end_s), *map(quantity, waiting))
            for moment, waiting in zip(details.moments, values, strict=True)
        ),
        note=f"Mean numbers of tasks that waited for a CPU. {LONGEST}",
    )


def _length_table(details: RunDetails) -> Table:
    counts = zip(*(cgroup.waits for cgroup in details.by_length), strict=True)
    borders_ns = pairwise([0.0, *details.edges_ns])
    return Table(
        BY_LENGTH,
        (Column("Length"), *figure_columns(*(cgroup.name for cgroup in details.by_length))),
        tuple(
            (bucket(low_ns, high_ns), *map(count, waits))
            for (low_ns, high_ns), waits in zip(borders_ns, counts, strict=True)
            if any(waits)
        ),
        note=f"Numbers of waits. Lengths that no wait had are left out. {LONGEST}",
    )


def _matrix_table(matrix: RunMatrix) -> Table:
    return Table(
        MATRIX,
        (Column("Waiting", Kind.NAME), *figure_columns(*matrix.waited_for)),
        tuple((name, *map(time_ns, row)) for name, row in zip(matrix.waiting, matrix.wait_ns, strict=True)),
        note="Each row waited so long while the cgroup of the column ran on its CPU; in its own column, while its "
        "own threads did.",
    )
