"""The charts of a fleet's answers: who costs and who suffers as bars, the knee as curves."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from agent.documents.fleet import FleetAnswers, FleetCell
from reports.charts.canvas import MUTED, WITH, WITHOUT, chart, legend, name_rows, named_bars, rows_height_pt
from reports.figures import percent, quantity
from reports.sections.fleet import rows_of

_MOST = 10
_LINES = ("-", "--", ":", "-.")
ChartRows = Sequence[Mapping[str, FleetCell]]


def charts(found: FleetAnswers) -> dict[str, str]:
    """SVG elements by the title of the section each stands in."""
    drawn = {}
    for answer in found.answers:
        rows = answer.rows
        if rows and answer.question in _DRAWN:
            drawn[answer.title] = _DRAWN[answer.question](found, rows[:_MOST], answer.title)
    return drawn


def _aggressors(_found: FleetAnswers, rows: ChartRows, title: str) -> str:
    def draw(axes: Axes) -> None:
        named_bars(
            axes,
            [str(row["aggressor"]) for row in rows],
            [_number(row["cost_cpu_h"]) for row in rows],
            [percent(_number(row["share_pct"])) for row in rows],
        )
        axes.set_xlabel("CPU-hours that others waited for it")

    return chart(
        draw, rows_height_pt(len(rows)), "aggressors", title, "CPU-hours that others waited, by for whom."
    )


def _victims(_found: FleetAnswers, rows: ChartRows, title: str) -> str:
    def draw(axes: Axes) -> None:
        places = range(len(rows))
        others = [_number(row["contention_h"]) for row in rows]
        limits = [_number(row["own_limits_h"]) for row in rows]
        axes.barh(places, others, color=WITH, height=0.62, label="behind others")
        axes.barh(
            *(places, limits),
            left=others,
            height=0.62,
            label="own limits",
            facecolor="none",
            edgecolor=WITHOUT,
            hatch="///",
        )
        name_rows(
            axes,
            [str(row["workload"]) for row in rows],
            [percent(_number(row["contention_pct"])) for row in rows],
        )
        axes.set_xlabel("CPU-hours waited")
        legend(axes, columns=2)

    return chart(
        draw,
        rows_height_pt(len(rows)) + 20,
        "victims",
        title,
        "CPU-hours waited, by the workload that waited.",
    )


def _knee(found: FleetAnswers, _rows: ChartRows, title: str) -> str:
    rows = rows_of(found, "knee")
    models = list(dict.fromkeys(str(row["cpu_model"]) for row in rows))

    def draw(axes: Axes) -> None:
        for number, model in enumerate(models):
            curve = [row for row in rows if row["cpu_model"] == model and row["p99_ms"] is not None]
            axes.plot(
                [_number(row["util_pct"]) + 2.5 for row in curve],
                [_number(row["p99_ms"]) for row in curve],
                color=WITH if number % 2 else WITHOUT,
                linestyle=_LINES[number // 2 % len(_LINES)],
                marker="os^v"[number % 4],
                label=model,
            )
        axes.axhline(found.objective_ms, color=MUTED, linestyle=(0, (1, 2)))
        axes.annotate(
            *(f"objective {quantity(found.objective_ms)} ms", (1.0, found.objective_ms)),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=MUTED,
        )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: quantity(value))
        axes.set(xlabel="utilisation of the host (%)", ylabel="p99 wait for a CPU (ms)", xlim=(0, 100))
        axes.grid(axis="y")
        legend(axes, columns=1)

    return chart(
        draw,
        270 + 16 * len(models),
        "knee",
        title,
        "The p99 wait by the host's utilisation, a line for each CPU model.",
    )


_DRAWN = {"aggressors": _aggressors, "victims": _victims, "knee": _knee}


def _number(cell: FleetCell) -> float:
    return float(cell) if isinstance(cell, (int, float)) else 0.0
