"""The charts of a recording."""

from agent.documents.run_details import RunDetails, RunMatrix
from reports.charts.matrix import matrix_chart
from reports.charts.timeline import timeline_chart
from reports.charts.waits import cgroups_chart
from reports.figures import time_ns
from reports.sections.run_detail import BY_LENGTH, MATRIX, OVER_TIME


def charts(details: RunDetails | None) -> dict[str, str]:
    """Those there are figures for, by the title of the section they belong above."""
    if details is None or not details.by_length:
        return {}
    return {
        OVER_TIME: timeline_chart(details.moments, details.over_time),
        BY_LENGTH: cgroups_chart(details.edges_ns, details.by_length),
        MATRIX: _matrix_chart(details.matrix),
    }


def _matrix_chart(matrix: RunMatrix) -> str:
    described = "Waits in the whole recording."
    return matrix_chart(matrix.waiting, matrix.waited_for, matrix.wait_ns, time_ns, described)
