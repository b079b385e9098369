"""The live table on a terminal: as many columns and rows as there is room for, the most telling ones first."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from agent.analysis.top import LastMinute
from agent.documents.top import LiveRow, LiveTable, Lot, Sort
from reports.escape import for_terminal, shortened
from reports.figures import UNAVAILABLE, quantity, seconds, time_ns
from reports.live_view import View, ViewMode
from reports.sections.blame import waited_for
from reports.sections.top import contention, usually

GAP = 1
LEAST_NAME, LONGEST_NAME, LONGEST_HOSTNAME = 12, 48, 20
AROUND = 3  # lines that are no rows: title, headings, keys
LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
# A sparkline reaches its top at the row's own largest mean, but not for less than this many waiting tasks.
LEAST_TOP = 0.01
HELP = "q quit  s sort  / filter  space pause"
SORTED_BY = {
    Sort.LOST: "CPUs lost to others",
    Sort.P99: "p99 of the waits",
    Sort.PREEMPTED: "preemptions",
    Sort.QUEUE: "queue length",
    Sort.THROTTLED: "throttled time",
    Sort.RUN: "run time",
    Sort.NAME: "name",
}


@dataclass(frozen=True, slots=True)
class Room:
    """The terminal: cells across and lines, and whether it shows more than ASCII."""

    width: int
    height: int
    unicode: bool = True

    @property
    def rows(self) -> int:
        """How many cgroups there is room for; at least one is shown."""
        return max(1, self.height - AROUND)


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    width: int
    cell: Callable[[LiveRow], str]
    right: bool = True
    sort: Sort | None = None


def _compact(ns: float | None) -> str:
    return time_ns(ns).replace(" ", "") if ns is not None else "-"


def _behind(ns: float | None) -> str:
    return _compact(ns) if ns else ""


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 10 or per_s == 0 else f"{per_s:.1f}"


def _share(row: LiveRow) -> str:
    return "" if row.waited_for is None else f"{row.waited_for.share_pct:.0f}%"


LOT = _Column("LOT", 7, lambda row: "" if row.lot is Lot.FINE else row.lot, right=False)
WANTED = _Column("WANT", 5, lambda row: f"{row.wanted_cpus:.2f}")
GOT = _Column("GOT", 5, lambda row: f"{row.got_cpus:.2f}", sort=Sort.RUN)
LOST = _Column("LOST", 5, lambda row: f"{row.lost_cpus:.2f}", sort=Sort.LOST)
P50 = _Column("p50", 6, lambda row: _compact(row.wait_p50_ns))
P99 = _Column("p99", 6, lambda row: _compact(row.wait_p99_ns), sort=Sort.P99)
PREEMPTED = _Column("PREE/s", 6, lambda row: _rate(row.preempted_per_s), sort=Sort.PREEMPTED)
BY = _Column("BY", 10, lambda row: waited_for(row.waited_for) or "-", right=False)
USUAL = _Column("USUAL", 5, lambda row: usually(row.usual))
RATIO = _Column("RATIO", 5, lambda row: contention(row.contention_ratio).replace(" ", ""))
SHARE = _Column("OF", 4, _share)
QUEUE = _Column("QUEUE", 5, lambda row: quantity(round(row.mean_waiting, 2)), sort=Sort.QUEUE)
IPC = _Column("IPC", 4, lambda row: "" if row.ipc is None else f"{row.ipc:.2f}")
THROTTLED = _Column(
    "THRO/s", 6, lambda row: _compact(row.throttled_ns_per_s) if row.throttled_ns_per_s else "0"
)
DISK = _Column("DISK/s", 6, lambda row: _behind(row.disk_behind_ns_per_s))
NETWORK = _Column("NET/s", 6, lambda row: _behind(row.network_behind_ns_per_s))
MINUTE_WIDTH = 8
# The first to be left out where there is no room comes last.
BY_WORTH = (
    LOST,
    BY,
    SHARE,
    USUAL,
    LOT,
    WANTED,
    GOT,
    P99,
    THROTTLED,
    PREEMPTED,
    DISK,
    NETWORK,
    RATIO,
    IPC,
    QUEUE,
    P50,
)
IN_ORDER = (
    LOT,
    WANTED,
    GOT,
    LOST,
    USUAL,
    RATIO,
    BY,
    SHARE,
    P50,
    P99,
    PREEMPTED,
    QUEUE,
    IPC,
    THROTTLED,
    DISK,
    NETWORK,
)


def live_screen(table: LiveTable, minute: LastMinute, view: View, room: Room) -> RenderableType:
    """The whole screen. `table` is in the view's order already."""
    rows = [row for row in table.cgroups if view.shows(row)]
    return Group(
        _line(title(table, view, len(rows)), "bold"),
        _grid(rows[view.first : view.first + room.rows], table, minute, view, room),
        _line(footer(table, view), "dim"),
    )


def waiting_screen() -> RenderableType:
    """The screen until the first window is over."""
    return Text("jostle top: measuring the first window (q quits)", style="bold")


def title(table: LiveTable, view: View, shown: int) -> str:
    """One line that says on which host, how many cgroups, and in which order."""
    parts = [
        "jostle top  PAUSED" if view.paused else "jostle top",
        shortened(table.hostname, LONGEST_HOSTNAME),
        f"{table.cpus} CPUs",
        f"every {seconds(table.duration_s)}",
        f"{f'{shown} of ' if view.filter else ''}{len(table.cgroups)} cgroups by {SORTED_BY[view.sort]}",
    ]
    return "  ".join(parts)


def footer(table: LiveTable, view: View) -> str:
    """One line: the filter being typed, else the keys and what the table lacks."""
    if view.mode is ViewMode.FILTER:
        return f"filter: {view.filter}_  (Enter keeps it, Escape drops it)"
    told = [HELP]
    if view.filter:
        told.append(f"filter: {view.filter}")
    if "ipc" in table.unavailable:
        told.append(f"IPC {UNAVAILABLE}: {table.unavailable['ipc']}")
    return "  |  ".join([*told, *table.warnings])


def sparkline(means: Sequence[float | None], levels: str = LEVELS) -> str:
    """One character per mean, blank where nothing is known."""
    top = max([LEAST_TOP, *(mean or 0.0 for mean in means)])
    last = len(levels) - 1
    return "".join(" " if mean is None else levels[round(mean / top * last)] for mean in means)


def fitting(width: int, *, without: Collection[_Column]) -> tuple[list[_Column], int, int]:
    """The columns there is room for, in their order; the cells left for the name, and for the sparkline (0: none)."""
    left = width - LEAST_NAME
    wanted = [column for column in BY_WORTH if column not in without]
    chosen = set()
    for column in wanted:
        if left < GAP + column.width:
            break
        left -= GAP + column.width
        chosen.add(column)
    minute = MINUTE_WIDTH if len(chosen) == len(wanted) and left >= GAP + MINUTE_WIDTH else 0
    left -= GAP + minute if minute else 0
    name = max(1, min(width, LEAST_NAME + min(left, LONGEST_NAME - LEAST_NAME)))
    return [column for column in IN_ORDER if column in chosen], name, minute


def _grid(rows: Sequence[LiveRow], table: LiveTable, minute: LastMinute, view: View, room: Room) -> Grid:
    without = [
        column for column in (IPC, USUAL, RATIO, DISK, NETWORK) if not any(map(column.cell, table.cgroups))
    ]
    columns, name_width, minute_width = fitting(room.width, without=without)
    grid = Grid(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="reverse", expand=False)
    grid.add_column("CGROUP", width=name_width, no_wrap=True)
    for column in columns:
        mark = "*" if column.sort is view.sort else ""
        grid.add_column(
            f"{column.heading}{mark}"[-column.width :],
            width=column.width,
            justify="right" if column.right else "left",
            no_wrap=True,
        )
    if minute_width:
        grid.add_column("1 MIN", width=minute_width, no_wrap=True)
    for row in rows:
        cells = [_cell(column, row) for column in columns]
        if minute_width:
            levels = LEVELS if room.unicode else ASCII_LEVELS
            cells.append(Text(sparkline(minute.waiting(row.cgroup, minute_width), levels)))
        grid.add_row(Text(shortened(row.name, name_width)), *cells, style=_style(row))
    return grid


def _cell(column: _Column, row: LiveRow) -> Text:
    return Text(shortened(column.cell(row), column.width))


def _style(row: LiveRow) -> str:
    return "bold" if row.lot in {Lot.SUFFERS, Lot.STARVED} else ""


def _line(text: str, style: str) -> Text:
    return Text(for_terminal(text), style=style, no_wrap=True, overflow="crop")
