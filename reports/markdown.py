"""Reports as GitHub-flavoured Markdown, for a review or an issue."""

from collections.abc import Iterable, Sequence

from reports.escape import for_markdown, for_markdown_block, for_markdown_code
from reports.sections.model import (
    Facts,
    Kind,
    Listing,
    Prose,
    Report,
    ReportSection,
    ShellCommand,
    Table,
    TableColumn,
)


def render(report: Report) -> str:
    """The report as Markdown; nothing a tenant chose is active in it."""
    heading = f"{report.title}: {report.headline}" if report.title else report.headline
    blocks = [f"# {for_markdown(heading)}"]
    blocks += [for_markdown(line) for line in (report.context, *report.note) if line]
    if report.answer:
        blocks.append(_list(map(for_markdown, report.answer)))
    if report.sentence not in report.answer:
        blocks.append(for_markdown(report.sentence))
    for section in report.sections:
        blocks += [f"## {for_markdown(section.title)}", _section(section)]
    return "\n\n".join(blocks) + "\n"


def _section(section: ReportSection) -> str:
    match section:
        case Table():
            return _table(section)
        case Facts():
            return _list(
                f"**{for_markdown(label)}:** {for_markdown(value)}" for label, value in section.items
            )
        case Listing():
            return _list(map(for_markdown, section.items), numbered=section.numbered)
        case Prose():
            return for_markdown(section.text)
        case ShellCommand():
            return for_markdown_block(" ".join(section.words))


def _table(table: Table) -> str:
    rule = ["---:" if column.kind is Kind.FIGURE else "---" for column in table.columns]
    rows = [
        [_cell(column, cell) for column, cell in zip(table.columns, row, strict=True)] for row in table.rows
    ]
    lines = [_row([for_markdown(column.heading) for column in table.columns]), _row(rule), *map(_row, rows)]
    return "\n".join([*lines, "", for_markdown(table.note)] if table.note else lines)


def _cell(column: TableColumn, cell: str) -> str:
    return for_markdown_code(cell) if column.kind in {Kind.NAME, Kind.FILE} else for_markdown(cell)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _list(items: Iterable[str], *, numbered: bool = False) -> str:
    return "\n".join(f"{f'{number}.' if numbered else '-'} {item}" for number, item in enumerate(items, 1))
