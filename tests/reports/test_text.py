"""Reports on a terminal."""

import re
import shlex
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from agent.documents.capabilities import Capability, CapabilityState
from agent.recording.counting_cost import uncounted
from reports import json_document, markdown, text
from reports.sections.blame import blame_report
from reports.sections.capabilities import CLAUSES, doctor_report
from reports.sections.model import Kind, Report, ShellCommand, Table
from reports.sections.now import now_report
from reports.sections.run import run_report
from reports.sections.top import top_report
from reports.sections.verdict import full_report, verdict_report
from tests.reports.samples import BLAMES, DOCTORS, EVIL, HOSTILE, NOWS, RUNS, TOPS, VERDICTS

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def is_plain(report: str) -> bool:
    return all(character == "\n" or unicodedata.category(character)[0] != "C" for character in report)


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_too_wide(name: str, width: int) -> None:
    assert max(map(cell_len, text.render(verdict_report(VERDICTS[name]), width=width).splitlines())) <= width


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("interference", "INTERFERENCE: 57.8 % slower (1.015 → 1.605 s; 95 %: +51.2 to +64.0 %)"),
        ("no-interference", "NO INTERFERENCE: 0.3 % slower"),
        ("self-inflicted", "SELF-INFLICTED: rate −23.7 % (15,834 → 12,087 requests/s"),
        ("inconclusive", "INCONCLUSIVE: 4.4 % slower"),
        ("partial", "INCONCLUSIVE (PARTIAL): Interrupted"),
    ],
)
def test_the_verdict_is_in_the_first_line(name: str, start: str) -> None:
    assert text.render(verdict_report(VERDICTS[name])).startswith(start)


@pytest.mark.parametrize("name", VERDICTS)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    report = verdict_report(VERDICTS[name])
    coloured = text.render(report, colour=True)
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == text.render(report).splitlines()


@pytest.mark.parametrize("name", VERDICTS)
def test_a_narrow_terminal_hides_nothing(name: str) -> None:
    report = verdict_report(VERDICTS[name])
    letters = {
        width: sorted(re.sub(r"[\s─█░\\']", "", text.render(report, width=width))) for width in (60, 400)
    }
    assert letters[60] == letters[400]


@pytest.mark.parametrize(
    "report",
    [run_report(RUNS["run"]), *map(top_report, TOPS.values()), *map(now_report, NOWS.values())],
)
@pytest.mark.parametrize("width", [72, 80])
def test_a_number_is_not_folded(report: Report, width: int) -> None:
    """As 0.000194 was, over two lines, in a table of eight columns."""
    words = text.render(report, width=width).split()
    for table in (section for section in report.sections if isinstance(section, Table)):
        for place in (at for at, column in enumerate(table.columns) if column.kind is Kind.FIGURE):
            assert [row[place] for row in table.rows if not set(row[place].split()) <= set(words)] == []


def test_hostile_names_are_plain_text_everywhere() -> None:
    reports = [
        text.render(verdict_report(HOSTILE)),
        markdown.render(full_report(HOSTILE)),
        json_document.render_verdict(HOSTILE),
        text.render(run_report(RUNS["run-hostile"])),
        markdown.render(run_report(RUNS["run-hostile"])),
        json_document.render_run(RUNS["run-hostile"]),
        text.render(doctor_report(*DOCTORS["doctor-none"])),
        json_document.render_capabilities(*DOCTORS["doctor-none"]),
        text.render(blame_report(BLAMES["blame-hostile"])),
        markdown.render(blame_report(BLAMES["blame-hostile"])),
        json_document.render_blame(BLAMES["blame-hostile"]),
        text.render(top_report(TOPS["top-hostile"])),
        markdown.render(top_report(TOPS["top-hostile"])),
        json_document.render_top(TOPS["top-hostile"]),
        text.render(now_report(NOWS["now-hostile"])),
        markdown.render(now_report(NOWS["now-hostile"])),
        json_document.render_now(NOWS["now-hostile"]),
    ]
    assert all(is_plain(report) for report in reports)
    assert all(report.encode() for report in reports)


def test_json_shows_not_even_delete() -> None:
    assert is_plain(
        json_document.render_capabilities([Capability("\x7f\x9b", "missing", "")], uncounted("\x7f"))
    )


@given(
    st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1), st.integers(20, 120)
)
def test_a_broken_command_is_still_the_same_command(words: list[str], width: int) -> None:
    lines = text.continued(map(shlex.quote, words), width)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert [line for line in lines if cell_len(line) > width] == []


def test_a_word_that_no_line_holds_is_the_same_when_it_is_pasted_from_the_screen() -> None:
    """By a real shell, with the indentation, and without anything that folds lines."""
    word = "sh -c 'for i in $(seq 100); do echo \"a b\"; done' " * 4
    command = ShellCommand("To run it again", tuple(map(shlex.quote, ("printf", "%s|%s", word, "x y"))))
    shown = text.render(Report("Told", "a sentence", (command,)), width=80)
    assert max(map(len, shown.splitlines())) <= 80
    _, _, pasted = shown.partition("To run it again\n")
    assert (
        subprocess.run(["sh", "-c", pasted], capture_output=True, text=True, check=True).stdout
        == f"{word}|x y"
    )


@pytest.mark.parametrize(("pct", "filled"), [(0, 0), (-20, 0), (50, 14), (100, 28), (130, 28)])
def test_bars(pct: float, filled: int) -> None:
    assert text.bar(pct).count("█") == filled
    assert len(text.bar(pct)) == 28


@pytest.mark.parametrize(
    ("states", "headline"),
    [
        ({"available"}, "Every capability is available"),
        ({"available", "degraded"}, "Some capabilities are degraded"),
        ({"available", "missing"}, "Some capabilities are missing"),
        ({"missing"}, "Nothing to measure with"),
        (set(), "Nothing to measure with"),
    ],
)
def test_the_doctor_begins_with_the_answer(states: set[CapabilityState], headline: str) -> None:
    report = doctor_report(
        [Capability(f"the {state} one", state, "") for state in sorted(states)], uncounted("")
    )
    assert report.headline == headline
    assert all(f"{CLAUSES[state]} the {state} one" in report.sentence for state in states)


def test_evil_is_evil() -> None:
    assert not is_plain(EVIL)
