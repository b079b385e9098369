"""`jostle top`: a live table of who waits, or one printed after a single interval."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from agent.analysis.now import host_now, watched
from agent.analysis.placement import settings_now
from agent.analysis.top import LastMinute, ipc_of, live_table
from agent.cli import completion, output
from agent.cli import history as from_history
from agent.cli.help import FILTER_HELP, Depth, duration_option
from agent.cli.history import HistoryFile, Usuals
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin, tasks_within
from agent.documents.top import LiveTable, Sort
from agent.recording import recorder
from agent.recording.budget import DEFAULT_BUDGET_PCT, Governor
from agent.recording.host import describe_host
from agent.sandbox.commands import wait_for_first
from agent.sandbox.interrupts import Interrupts
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.resolver import filters
from collectors.sources.tasks import read_tasks
from collectors.sources.tiers import open_source
from collectors.windows import counters, sched
from collectors.windows.sched import SchedWindow
from probes.privilege import require_privilege
from probes.snapshot import Snapshot
from reports.live_view import View, ViewMode, keys

if TYPE_CHECKING:  # rich is for those who sit at a terminal
    from agent.cli.terminal import Terminal

EPILOG = "Example: jostle top   or, in a script: jostle top --once --json -i 5"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top", epilog=EPILOG)(top)


def top(
    interval: Annotated[float, duration_option("-i", "--interval", help_="Length of a window.")] = 1.0,
    sort: Annotated[Sort, typer.Option(help="Sort by this, the largest first.")] = Sort.LOST,
    cgroup: Annotated[
        list[str] | None,
        typer.Option("--cgroup", metavar="CGROUP", autocompletion=completion.cgroups, help=FILTER_HELP),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the table of one window and end.")] = False,
    depth: Depth = None,
    history_file: HistoryFile = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print it as one JSON document (includes --once).")
    ] = False,
) -> None:
    """A live table of every cgroup, who suffers most on top. Off a terminal the same as --once."""
    from agent.cli.terminal import is_interactive
    from collectors.host.live import live

    recorder.require_interval(interval)
    layout = detect_layout()
    globs = filters(cgroup, live(layout)) if cgroup else ()
    require_privilege()
    tables = _Tables(globs, describe_host(layout).hostname, from_history.usual(history_file), depth)
    on_screen = not once and not json_output and is_interactive()
    with Interrupts() as interrupts, open_source(layout, "ebpf", counters.WANTED) as source:
        governor = Governor(source, DEFAULT_BUDGET_PCT)
        if on_screen:
            _live(governor, interval, tables, View(sort=sort), interrupts)
            return
        table = _first(governor, interval, tables, sort, interrupts, layout)
    _show(table, json_output=json_output)


@dataclass(slots=True)
class _Tables:
    """Makes tables of windows, with names and what is known of the host; `ipc` is of the latest window."""

    globs: tuple[str, ...]
    hostname: str
    usual: Usuals
    depth: int | None = None
    ipc: Mapping[str, float] | Missing = counters.NOT_ASKED_FOR

    def count(self, window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        """Take in a window's counters."""
        self.ipc = ipc_of(before, after)
        return window

    def of(self, window: SchedWindow, sort: Sort, tasks: TasksWithin = NOBODY_KNOWN) -> LiveTable:
        window = window if self.depth is None else sched.at_depth(window, self.depth)
        return live_table(
            self.hostname, window, sort, _name, self.ipc, patterns=self.globs, usual=self.usual, tasks=tasks
        )


@lru_cache(maxsize=4096)
def _name(path: str) -> str:
    """Reading the runtimes' files once per cgroup is enough."""
    return name_workload(path).name


def _first(
    governor: Governor,
    interval_s: float,
    tables: _Tables,
    sort: Sort,
    interrupts: Interrupts,
    layout: CgroupLayout,
) -> LiveTable:
    """The table of one window, with advice. Interrupted while it lasts, there is nothing to show."""

    def ended(seconds: float) -> bool:
        return wait_for_first([], seconds, interrupts) is not None

    before = read_tasks(layout)
    window = next(recorder.windows(governor, interval_s, interval_s, ended, complete=tables.count))
    tasks = tasks_within(before, read_tasks(layout))
    now = host_now(
        tables.hostname, watched([window], _name, settings_now(layout), tasks), patterns=tables.globs
    )
    table = tables.of(window, sort, tasks)
    first = next(iter(now.sufferers), None)
    return table if first is None else replace(table, sufferer=first.cgroup, advice=first.advice)


def _show(table: LiveTable, *, json_output: bool) -> None:
    from reports import json_document, text
    from reports.sections import top as top_sections

    if json_output:
        output.show(json_document.render_top(table))
    else:
        report = top_sections.top_report(table)
        output.show(text.render(report, width=output.width(), colour=output.colour()))


def _live(governor: Governor, interval_s: float, tables: _Tables, view: View, interrupts: Interrupts) -> None:
    """Until `q`, or a signal, which is as good an end of a table that has none of its own."""
    from agent.cli.terminal import Terminal

    with Terminal(interrupts) as terminal:
        screen = Screen(terminal, tables, view)
        for window in recorder.windows(
            governor, interval_s, None, screen.wait, screen.draw, complete=tables.count
        ):
            screen.on_window(window)


@dataclass(slots=True)
class Screen:
    """What is on the terminal, and what the person there makes of it."""

    terminal: "Terminal"
    tables: _Tables
    view: View
    minute: LastMinute = field(default_factory=LastMinute)
    table: LiveTable | None = None

    def on_window(self, window: SchedWindow) -> None:
        """A new window; paused, only the last minute takes it in."""
        self.minute.add(window)
        if not self.view.paused:
            self.table = self.tables.of(window, self.view.sort)
            self.draw()

    def wait(self, seconds: float) -> bool:
        """Serve the keyboard for so long; whether the end is wanted."""
        due_s = time.monotonic() + seconds
        while (left_s := due_s - time.monotonic()) > 0:
            typed = self.terminal.wait(left_s)
            if typed is None:
                return True
            for key in keys(typed):
                self.view = self.view.pressed(key, self.terminal.room().rows, self._shown())
            if self.view.mode is ViewMode.QUIT:
                return True
            self.draw()
        return False

    def _shown(self) -> int:
        return sum(map(self.view.shows, self.table.cgroups)) if self.table else 0

    def draw(self) -> None:
        """The screen as it should be now."""
        from reports.live import live_screen, waiting_screen

        if self.table is None:
            self.terminal.show(waiting_screen())
            return
        table = self.table.sorted_by(self.view.sort)
        self.terminal.show(live_screen(table, self.minute, self.view, self.terminal.room()))
