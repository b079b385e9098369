"""What, where and when a report is of, and the user's own words, in every form."""

import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.documents.selftest import Selftest
from agent.documents.summary import RunSummary
from agent.documents.verdict import Verdict
from reports import html, json_document, markdown, text
from reports.escape import for_html, for_markdown, for_terminal
from reports.sections.run import full_run_report, run_report
from reports.sections.verdict import full_report, verdict_report
from tests.reports.samples import EVIL, INTERFERENCE, RUNS

TITLE, NOTE = f"Capacity review {EVIL}", "first paragraph\n<b>second</b>"
VERDICT = replace(INTERFERENCE, title=TITLE, note=NOTE)
RECORDING = replace(RUNS["run-events"], title=TITLE, note=NOTE)


@pytest.mark.parametrize(
    ("made", "escaped"),
    [
        (lambda: text.render(verdict_report(VERDICT), width=500), for_terminal),
        (lambda: text.render(run_report(RECORDING), width=500), for_terminal),
        (lambda: markdown.render(full_report(VERDICT)), for_markdown),
        (lambda: markdown.render(full_run_report(RECORDING)), for_markdown),
        (lambda: html.render_verdict(VERDICT), for_html),
        (lambda: html.render_run(RECORDING), for_html),
    ],
)
def test_title_and_note_are_shown_escaped(made: Callable[[], str], escaped: Callable[[str], str]) -> None:
    rendered = made()
    words = (TITLE.strip(), *NOTE.splitlines())
    assert [word for word in words if escaped(word) not in rendered] == []
    assert "<script>alert" not in rendered or escaped is for_terminal


def test_they_are_kept_in_the_document() -> None:
    verdict = Verdict.from_document(json.loads(json_document.render_verdict(replace(VERDICT, title="T"))))
    run = RunSummary.from_document(json.loads(json_document.render_run(replace(RECORDING, title="T"))))
    assert (verdict.title, verdict.note) == (run.title, run.note) == ("T", NOTE)
    assert {"title", "note"} <= set(Selftest.__struct_fields__)


def test_a_short_answer_is_not_made_longer_by_them() -> None:
    shown = text.render(verdict_report(VERDICT), width=500, short=True)
    assert shown == text.render(verdict_report(INTERFERENCE), width=500, short=True)


def test_a_recording_says_when_and_where_it_was_made() -> None:
    for made in (
        text.render(run_report(RUNS["run"]), width=500),
        markdown.render(full_run_report(RUNS["run"])),
    ):
        head = made.partition("Waiting for a CPU")[0]
        place = "2026-05-28T20:26:15+00:00 to 2026-05-28T20:26:25+00:00, on node-7 (6.1.0-28-cloud-amd64)"
        assert place in head.replace("\\", "")


@pytest.mark.parametrize(("name", "said"), [("run-events", "3 events"), ("run-no-events", "No event")])
def test_a_history_is_headed_by_its_period_and_what_happened(name: str, said: str) -> None:
    heading = markdown.render(full_run_report(RUNS[name])).splitlines()[0]
    assert heading == f"# {said}, 2026-05-28T20:26:15+00:00 to 2026-05-28T20:26:25+00:00"
