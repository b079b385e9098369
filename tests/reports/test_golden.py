"""Every report is compared exactly with a file beside this one.

`JOSTLE_UPDATE_GOLDEN=1 pytest tests/reports/test_golden.py` writes the files again; read the difference.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports import json_document, markdown, text
from reports.sections.blame import blame_report
from reports.sections.capabilities import doctor_report
from reports.sections.model import Report
from reports.sections.now import now_report
from reports.sections.run import full_run_report, run_report
from reports.sections.top import top_report
from reports.sections.verdict import capacity_report, full_report, verdict_report
from tests.reports.samples import BLAMES, DOCTORS, NOWS, RUNS, TOPS, VERDICTS

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("JOSTLE_UPDATE_GOLDEN") == "1"


def laid_out(name: str, short: Report, full: Report, document: str) -> Iterator[tuple[str, str]]:
    yield f"{name}.txt", text.render(short)
    yield f"{name}.md", markdown.render(full)
    yield f"{name}.json", document


def outputs() -> Iterator[tuple[str, str]]:
    for name, verdict in VERDICTS.items():
        yield from laid_out(
            name, verdict_report(verdict), full_report(verdict), json_document.render_verdict(verdict)
        )
    for name, summary in RUNS.items():
        yield from laid_out(
            name, run_report(summary), full_run_report(summary), json_document.render_run(summary)
        )
    for name, (signals, counting) in DOCTORS.items():
        report = doctor_report(signals, counting)
        yield from laid_out(name, report, report, json_document.render_capabilities(signals, counting))
    for name, blame in BLAMES.items():
        blamed = blame_report(blame)
        yield from laid_out(name, blamed, blamed, json_document.render_blame(blame))
    for name, table in TOPS.items():
        listed = top_report(table)
        yield from laid_out(name, listed, listed, json_document.render_top(table))
    for name, now in NOWS.items():
        suffering = now_report(now)
        yield from laid_out(name, suffering, suffering, json_document.render_now(now))
    for name, verdict in VERDICTS.items():
        yield f"{name}-short.txt", text.render(verdict_report(verdict), short=True)
    for name, blame in BLAMES.items():
        yield f"{name}-short.txt", text.render(blame_report(blame), short=True)
    yield "interference-again.txt", text.render(verdict_report(VERDICTS["interference"]), again=True)
    yield "interference-colour.txt", text.render(verdict_report(VERDICTS["interference"]), colour=True)
    yield "interference-whole.txt", text.render(capacity_report(VERDICTS["interference"]))
    yield "interference-narrow.txt", text.render(verdict_report(VERDICTS["interference"]), width=60)


OUTPUTS = dict(outputs())


@pytest.mark.parametrize("name", OUTPUTS)
def test_report_is_as_agreed(name: str) -> None:
    path = GOLDEN / name
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(OUTPUTS[name])
    assert OUTPUTS[name] == path.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == OUTPUTS.keys()
