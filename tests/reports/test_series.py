"""One line per verdict: what a CSV reader gets of it, and what no title can do to it."""

import csv
import io

import pytest
from msgspec.structs import replace

from agent.documents.verdict import Verdict
from reports import series
from tests.reports.samples import EVIL, INTERFERENCE, VERDICTS


@pytest.mark.parametrize("verdict", VERDICTS.values(), ids=VERDICTS)
def test_each_verdict_is_one_line_of_as_many_cells_as_the_header(verdict: Verdict) -> None:
    text = series.HEADER + series.render(replace(verdict, title=EVIL))
    header, row = csv.reader(io.StringIO(text))
    assert len(row) == len(header)
    assert text.count("\n") == 2


def test_its_figures_are_those_of_the_report() -> None:
    (row,) = csv.DictReader(io.StringIO(series.HEADER + series.render(INTERFERENCE)))
    assert INTERFERENCE.effect is not None
    assert INTERFERENCE.experiment is not None
    assert (row["verdict"], row["metric"]) == ("interference", INTERFERENCE.effect.metric)
    assert row["time"] == INTERFERENCE.experiment.started
    assert float(row["slowdown_pct"]) == pytest.approx(INTERFERENCE.effect.slowdown_pct or 0, abs=0.05)
    assert float(row["low_pct"]) < float(row["slowdown_pct"]) < float(row["high_pct"])


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@sum"])
def test_no_title_is_a_formula(title: str) -> None:
    (row,) = csv.DictReader(io.StringIO(series.HEADER + series.render(replace(INTERFERENCE, title=title))))
    assert row["title"] == f"'{title}"
