"""The document as tables for people, and how far it is from the goals."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.overhead_figures import OURS, REFERENCE, ratio

NONE = "–"
_COLUMNS = (
    ("ns/switch", "ns_per_switch", "{:,.0f}"),
    ("calls", "calls_per_switch", "{:.2f}"),
    ("net ns", "net_ns_per_switch", "{:,.0f}"),
    ("hook ns", "hook_ns_per_call", "{:,.0f}"),
    ("slower", "slowdown_pct", "{:+.1f} %"),
    ("wall", "slowdown_wall_pct", "{:+.1f} %"),
    ("attached", "attached_s", "{:.2f} s"),
    ("memory", "rss_mb", "{:.0f} MB"),
    ("own CPU", "tool_cpu_pct", "{:.1f} %"),
)


def show(document: dict[str, Any], console: Console) -> None:
    """Print one table per storm, and the goals."""
    for storm, figures in document["storms"].items():
        console.print(storm_table(storm, figures))
        console.print(ratio_line(figures) + "\n")
    for tool, reason in document["missing"].items():
        console.print(f"{tool}: {reason}; `packaging/setup.sh bench` installs it")
    if document["context"]["foreign_programs"]:
        console.print(
            "Other tracing programs were loaded meanwhile: they slow the storms too.", style="yellow"
        )
    for line in goal_lines(document):
        console.print(line)


def storm_table(storm: str, figures: dict[str, Any]) -> Table:
    """The table of one storm, with a row for each tool."""
    table = Table(
        title=f"Storm: {storm}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("tool", no_wrap=True)
    for title, _, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for tool in figures["ns_per_switch"]:
        table.add_row(tool, *(_cell(figures[name][tool], form) for _, name, form in _COLUMNS))
    return table


def ratio_line(figures: dict[str, Any]) -> str:
    """Ours beside the reference under one storm."""
    ratios = (
        ("BPF time", figures["ratio_vs_runqlat"]),
        ("without the measuring itself", figures["net_ratio_vs_runqlat"]),
        ("slow-down", figures["slowdown_ratio_vs_runqlat"]),
    )
    texts = (f"{name} {_cell(value, '{:.2f}')}" for name, value in ratios)
    return f"{OURS} / {REFERENCE}: " + ", ".join(texts)


def goal_lines(document: dict[str, Any]) -> list[str]:
    """Each goal with what was measured."""
    slowdown = document["slowdown_pct"]
    goals = (
        ("BPF time per switch, ratio to runqlat's", document["ratio_vs_runqlat"], 0.35, "{:.2f}"),
        (
            "slow-down of the storm, ratio to runqlat's",
            ratio(slowdown.get(OURS), slowdown.get(REFERENCE)),
            0.5,
            "{:.2f}",
        ),
        ("resident memory", document["rss_mb"], 40, "{:.1f} MB"),
        ("first sample after, compiled", document["first_sample_s"], 1.1, "{:.2f} s"),
        ("first sample after, from the cache", document["first_sample_kept_s"], 0.4, "{:.2f} s"),
    )
    return [_goal_line(name, value, limit, form) for name, value, limit, form in goals]


def _goal_line(name: str, value: float | None, limit: float, form: str) -> str:
    if value is None:
        return f"{name}: not measured"
    word = "met" if value <= limit else "missed"
    return f"{name}: {form.format(value)} (goal: at most {form.format(limit)}, {word})"


def _cell(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)
