"""A self-test's report: every rate, every scenario, and each experiment that was not right."""

from msgspec.structs import replace

from agent.documents.verdict import CauseKind, Conclusion
from agent.selftest.scenarios import TwoCpus, scenarios
from agent.selftest.score import tallies
from reports import markdown, text
from reports.sections.model import Report
from reports.sections.selftest import scenario_list, selftest_report, tally_table
from tests.agent.selftest.findings import EFFECT, NOTHING, finding, selftest


def test_all_is_well() -> None:
    report = selftest_report(selftest())
    shown = text.render(report, width=100)
    assert "SELF-TEST: 3 experiments on 3 labelled scenarios" in shown
    assert "2 of 2" in shown
    assert "1/1" in shown
    assert "Not as labelled" not in shown
    assert "| true positives |" in markdown.render(report)


def test_what_was_wrong_is_listed_with_its_seed() -> None:
    wrong = (
        finding(EFFECT, cause=CauseKind.STEAL, culprit="neighbour-2 idle"),
        finding(NOTHING, Conclusion.INTERFERENCE),
        finding(NOTHING, error="the victim failed"),
    )
    shown = " ".join(text.render(selftest_report(selftest(*wrong)), width=100).split())
    assert "cause steal (90.0 %) instead of cpu-wait; culprit neighbour-2 idle instead of" in shown
    assert "sleeper (seed 7): interference instead of no-interference" in shown
    assert "failed: the victim failed" in shown


def test_no_scenario_is_folded_on_a_terminal_of_80_columns() -> None:
    labels = [
        replace(EFFECT, scenario=each.name, verdict=each.verdict)
        for each in scenarios(TwoCpus(here=0, there=1))
    ]
    found = tuple(tallies(labels, [finding(label) for label in labels]))
    table = tally_table(found, labels)
    shown = text.render(Report("", "", (table,)), width=80).splitlines()
    assert [
        label.scenario for label in labels if not any(f"  {label.scenario} " in line for line in shown)
    ] == []


def test_a_partial_one_says_so() -> None:
    assert "SELF-TEST (PARTIAL): 3 of 4 experiments" in text.render(selftest_report(selftest(partial=True)))


def test_the_list_shows_every_label() -> None:
    shown = text.render(scenario_list([EFFECT, NOTHING]), width=100)
    assert "a busy loop" in shown
    assert "it sleeps" in shown
