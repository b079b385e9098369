"""Reports for a terminal: the answer in the first line, then the sections. No colour unless asked for."""

import re
import shlex
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from itertools import product, zip_longest

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from reports.escape import for_terminal
from reports.sections.model import (
    WARNINGS,
    Facts,
    Kind,
    Listing,
    Prose,
    Report,
    ShellCommand,
    Table,
    TableColumn,
)

INDENT = (0, 0, 0, 2)
BAR_WIDTH, LEAST_BAR_WIDTH = 28, 8
BAR_ROOM = 72  # narrower than this, the figures need the room
GAP = 3  # between columns, one of it the box's own
# Until a table fits: how many cells of a text have to stand on one line, the gap between columns, and whether headings
# of figures are folded at spaces. Figures are folded where nothing of this suffices.
_WIDE = tuple(product((None, 24, 16), (False, True), (GAP, GAP - 1)))
_NARROW = tuple(product((16, 12, 8), (False, True), (GAP - 1, GAP - 2)))
WAYS_TO_FIT = tuple((cells, gap, folds) for cells, folds, gap in (*_WIDE, *_NARROW))
STYLES = {
    "Interference": "bold red",
    "No interference": "bold green",
    "Self-inflicted": "bold magenta",
    "Inconclusive": "bold yellow",
}


def render(
    report: Report, *, width: int = 80, colour: bool = False, short: bool = False, again: bool = False
) -> str:
    """The report as text.

    Args:
        report: What there is to say.
        width: No line has more cells.
        colour: With ANSI colours.
        short: The answer alone, and the warnings where there are any.
        again: The answer once more at the end, where more than it was said.

    Returns:
        Lines that end with a line feed.
    """
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(Group(*_parts(shortest(report) if short else report, width, again=again)))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def shortest(report: Report) -> Report:
    """What cannot be left out: the answer, and what a reader has to know before trusting it."""
    if not report.answer:
        return report
    kept = tuple(section for section in report.sections if section.title == WARNINGS)
    return replace(report, sentence="", sections=kept)


def _parts(report: Report, width: int, *, again: bool) -> Iterator[RenderableType]:
    answer = tuple(_answer(report))
    yield from answer
    # Neither title nor note stand before the answer, and what is to be short has neither.
    for line in (report.title, report.context, *report.note) if report.sentence else ():
        if line:
            yield ""
            yield Text(for_terminal(line), overflow="fold")
    if report.answer and report.sentence not in {"", *report.answer}:
        yield ""
        yield Text(for_terminal(report.sentence))
    for section in report.sections:
        yield ""
        yield Text(for_terminal(section.title), style="bold")
        if isinstance(section, ShellCommand):
            yield Text("\n".join(continued(section.words, width)))
        else:
            yield Padding(_section(section, width - INDENT[3]), INDENT)
    if again and report.answer and report.sections:
        yield ""
        yield from answer


def _answer(report: Report) -> Iterator[RenderableType]:
    style = next((style for word, style in STYLES.items() if report.headline.startswith(word)), "bold")
    first, *others = report.answer or (report.sentence,)
    yield Text.assemble((f"{report.headline.upper()}: ", style), for_terminal(first))
    for line in others:
        yield Padding(Text(for_terminal(line), overflow="fold"), INDENT)


def _section(section: Table | Facts | Listing | Prose, width: int) -> RenderableType:
    match section:
        case Table():
            return _table(section, width)
        case Facts():
            return _facts(section)
        case Listing():
            return _listing(section)
        case Prose():
            return Text(for_terminal(section.text), overflow="fold")


def _table(table: Table, width: int) -> RenderableType:
    fitting = next((way for way in WAYS_TO_FIT if _fits(table, width, *way)), None)
    _, gap, folds = fitting or WAYS_TO_FIT[-1]
    grid = Grid(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="dim"
    )
    for column in table.columns:
        heading = for_terminal(column.heading)
        grid.add_column(
            "\n".join(_words(heading)) if folds and column.kind is Kind.FIGURE else heading,
            justify="right" if column.kind is Kind.FIGURE else "left",
            overflow="fold",
            no_wrap=column.kind is Kind.FIGURE and fitting is not None,
        )
    bar_width = _room_for_bars(table, width)
    if bar_width:
        grid.add_column(min_width=bar_width, no_wrap=True)
    for row, pct in zip_longest(table.rows, table.bars_pct if bar_width else ()):
        drawn = [] if pct is None else [Text(bar(pct, bar_width))]
        grid.add_row(*(Text(for_terminal(cell)) for cell in row), *drawn)
    return Group(grid, Text(for_terminal(table.note), style="dim")) if table.note else grid


def _room_for_bars(table: Table, width: int) -> int:
    """Cells for a bar beside the table: what the columns leave, within limits; 0 for none."""
    if not table.bars_pct or width < BAR_ROOM:
        return 0
    taken = sum(cells + GAP for _, cells in _widths(table))
    return min(BAR_WIDTH, max(LEAST_BAR_WIDTH, width - taken))


def _fits(table: Table, width: int, text_width: int | None, gap: int, folds: bool) -> bool:  # noqa: FBT001  a way
    """Whether figures can stand on one line each, and of each text so many cells (None: all)."""
    needed = sum(
        (cells if column.kind is Kind.FIGURE or text_width is None else min(cells, text_width)) + gap
        for column, cells in _widths(table, folds=folds)
    )
    return needed <= width


def _words(heading: str) -> list[str]:
    """Where it may be folded: not between a number and its unit, as in `95 % interval`."""
    return re.split(" (?!%)", heading)


def _widths(table: Table, *, folds: bool = False) -> Iterator[tuple[TableColumn, int]]:
    """The cells that each column takes where nothing is folded, or nothing but the headings of figures."""
    for place, column in enumerate(table.columns):
        heading = _words(column.heading) if folds and column.kind is Kind.FIGURE else [column.heading]
        texts = [*heading, *(row[place] for row in table.rows)]
        yield column, max(cell_len(for_terminal(text)) for text in texts)


def bar(pct: float, width: int = BAR_WIDTH) -> str:
    """A bar for a share between 0 and 100; what is outside is cut."""
    filled = round(min(max(pct, 0.0), 100.0) * width / 100)
    return "█" * filled + "░" * (width - filled)


def continued(words: Iterable[str], width: int) -> list[str]:
    """A command broken into lines that a shell reads as one, where it is pasted with its indentation.

    Between words a line ends with a space and a backslash. A word that no line holds goes on, without a space, at the
    very begin of the next: each part is quoted by itself, and a shell puts them together.

    Args:
        words: each as a shell reads it, quoted where need be.
        width: no line has more cells, but for a single character that needs more.
    """
    lines: list[str] = []
    margin = " " * INDENT[3]
    for word in words:
        part, *rest = _parts_of_word(word, width - len(f"{margin}   \\"))
        if lines and cell_len(f"{lines[-1]} {part} \\") <= width:
            lines[-1] += f" {part}"
        elif lines:
            lines[-1] += " \\"
            lines.append(f"{margin}  {part}")
        else:
            lines.append(f"{margin}{part}")
        for part in rest:
            lines[-1] += "\\"
            lines.append(part)
    return lines


def _parts_of_word(word: str, width: int) -> list[str]:
    """A word as it is where it fits, else in parts that do, each quoted; what no terminal shows is an escape before."""
    word = for_terminal(word)
    if cell_len(word) <= width:
        return [word]
    (left,), parts = shlex.split(word), []

    def cells(length: int) -> int:
        return cell_len(shlex.quote(left[:length]))

    while left:
        length = max(1, bisect_right(range(1, len(left) + 1), width, key=cells))
        parts.append(shlex.quote(left[:length]))
        left = left[length:]
    return parts


def _facts(facts: Facts) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in facts.items:
        grid.add_row(Text(for_terminal(label)), Text(for_terminal(value)))
    return grid


def _listing(listing: Listing) -> RenderableType:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for number, item in enumerate(listing.items, 1):
        grid.add_row(f"{number}." if listing.numbered else "-", Text(for_terminal(item)))
    return grid
