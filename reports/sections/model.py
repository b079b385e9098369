"""What a report is made of, before it has a format: headed tables, facts and lists of plain text.

The other modules of this package turn records into these once, with every figure already formatted; a renderer
lays them out and escapes every text for the place it goes to. Nothing here is escaped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeVar

from reports.figures import BYTE_UNITS, TIME_UNITS, Units, in_unit, shared_unit

Value = TypeVar("Value")


class Kind(Enum):
    """How a column's cells are set."""

    TEXT = auto()
    NAME = auto()  # chosen by a tenant: set as code where the format has it
    FILE = auto()  # beside the report: a plain name, as a link dies where the report is attached to a mail
    FIGURE = auto()  # to the right


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column's heading and how its cells are set."""

    heading: str
    kind: Kind = Kind.TEXT


WARNINGS = "Warnings"
"""The title of the section that no form of a report leaves out."""
NAME = TableColumn("Name", Kind.NAME)
CGROUP = TableColumn("Cgroup", Kind.NAME)


def figure_columns(*headings: str) -> tuple[TableColumn, ...]:
    """Columns of figures under these headings."""
    return tuple(TableColumn(heading, Kind.FIGURE) for heading in headings)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; every row has one cell per column."""

    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    bars_pct: tuple[float, ...] = ()  # one per row, drawn as a bar where the format has room for it


@dataclass(frozen=True, slots=True)
class Cells:
    """One column with what stands in it, a cell for each row."""

    column: TableColumn
    cells: tuple[str, ...]


def names(values: Iterable[str], column: TableColumn = NAME) -> Cells:
    """Names that tenants chose."""
    return Cells(column, tuple(values))


def figures(heading: str, values: Iterable[Value], shown: Callable[[Value], str]) -> Cells:
    """Figures, each with its own unit or without any."""
    return Cells(TableColumn(heading, Kind.FIGURE), tuple(map(shown, values)))


def times(heading: str, values_ns: Iterable[float | None]) -> Cells:
    """Times, all in the one unit that the heading names."""
    return _in_one_unit(heading, values_ns, TIME_UNITS)


def sizes(heading: str, values: Iterable[float | None]) -> Cells:
    """Amounts of bytes, all in the one unit that the heading names."""
    return _in_one_unit(heading, values, BYTE_UNITS)


def _in_one_unit(heading: str, values: Iterable[float | None], units: Units) -> Cells:
    listed = list(values)
    scale, unit = shared_unit(listed, units)
    return figures(
        f"{heading} ({unit})" if any(listed) else heading, listed, lambda value: in_unit(value, scale)
    )


def by_column(title: str, *columns: Cells, note: str = "") -> Table:
    """A table of columns, all with as many cells."""
    rows = tuple(zip(*(each.cells for each in columns), strict=True))
    return Table(title, tuple(each.column for each in columns), rows, note)


@dataclass(frozen=True, slots=True)
class Facts:
    """Labelled values."""

    title: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Sentences."""

    title: str
    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """A command line that can be run as it stands."""

    title: str
    words: tuple[str, ...]  # each quoted for a shell


ReportSection = Table | Facts | Listing | Prose | ShellCommand


@dataclass(frozen=True, slots=True)
class Report:
    """The answer in a word and a sentence, then the sections that bear it out."""

    headline: str
    sentence: str
    sections: tuple[ReportSection, ...]
    answer: tuple[str, ...] = ()
    """The answer in up to three lines, which then stands before the sentence and, on a terminal, also after all."""
    context: str = ""
    """What was run where and when, in one line."""
    deciding: int | None = None
    """How many sections a reader needs to decide; a page folds those after them. None: all."""
    folded: str = ""
    """What these are, in a line."""
    title: str = ""
    """As the user gave it; it stands above all."""
    note: tuple[str, ...] = ()
    """The user's own words, a paragraph each."""


def titled(report: Report, title: str | None, note: str | None) -> Report:
    """With the user's own words, where there are any."""
    return replace(report, title=title or "", note=tuple(filter(None, (note or "").splitlines())))
