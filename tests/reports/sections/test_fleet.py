"""A fleet's answers as sections and charts: units by the columns' names, hostile names harmless."""

from agent.documents.fleet import FleetAnswer, FleetAnswers, FleetCell, FleetCoverage
from reports import html, markdown
from reports.charts import fleet as charts
from reports.sections.fleet import cell, fleet_report, heading

HOSTILE = "shop/<img src=x>|`$x$\x1b[31m/app"
ROW: dict[str, FleetCell] = {
    "aggressor": HOSTILE,
    "aggressor_owner": "batch",
    "cost_cpu_h": 12.3456,
    "hosts": 3,
    "share_pct": 45.678,
}
ANSWER = FleetAnswer(
    question="aggressors",
    title="Who costs others most?",
    sentence=f"{HOSTILE} costs others most.",
    columns=tuple(ROW),
    rows=(ROW,),
    rows_in_all=4,
    method="By overlap.",
)
ANSWERS = FleetAnswers(
    answers=(ANSWER,),
    coverage=FleetCoverage("2026-06-01T00:00:00+00:00", "2026-06-02T00:00:00+00:00", 3, 72.0, 5, 15),
    conditions=("owner=shop",),
    objective_ms=10.0,
    engine="duckdb",
    command=("jostle", "fleet", "aggressors", "a b"),
)


def test_figures_have_the_unit_that_ends_their_name() -> None:
    assert cell("share_pct", 45.678) == "45.7 %"
    assert cell("first_s", 0).startswith("1970-01-01T")
    assert cell("cost_cpu_h", None) == "n/a"
    assert cell("hosts", 12345) == "12,345"
    assert (heading("run_h"), heading("slower_pct")) == ("Run (h)", "Slower")


def test_the_answer_its_rows_and_what_was_asked() -> None:
    report = fleet_report(ANSWERS)
    text = markdown.render(report)
    assert text.startswith("# Who costs others most?\n")
    assert "3 rows more" in text
    assert "owner=shop" in text
    assert "jostle fleet aggressors 'a b'" in text
    assert "\x1b" not in text


def test_a_hostile_name_is_harmless_on_the_page_and_in_its_chart() -> None:
    page = html.render_fleet(ANSWERS)
    assert "<img" not in page
    assert "\x1b" not in page
    assert set(charts.charts(ANSWERS)) == {"Who costs others most?"}
