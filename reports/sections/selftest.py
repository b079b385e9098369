"""A self-test as sections: how often the verdict was right, and where it was not."""

from collections.abc import Iterator, Sequence

from agent.documents.selftest import Label, Rate, Selftest, SelftestFinding, Tally
from reports.figures import UNAVAILABLE, count, interval, percent, seconds
from reports.sections.model import (
    Facts,
    Kind,
    Listing,
    Report,
    ReportSection,
    Table,
    TableColumn,
    figure_columns,
    titled,
)
from reports.sections.origin import host_facts

SCENARIO = TableColumn("Scenario", Kind.NAME)


def selftest_report(selftest: Selftest) -> Report:
    """The rates, each scenario, and every experiment that was not right."""
    headline = "Self-test (partial)" if selftest.partial else "Self-test"
    report = Report(headline, _sentence(selftest), tuple(_sections(selftest)))
    return titled(report, selftest.title, selftest.note)


def scenario_list(labels: Sequence[Label]) -> Report:
    """What would be run, with the labels."""
    rows = tuple((label.scenario, *_expected(label), label.truth) for label in labels)
    columns = (
        SCENARIO,
        TableColumn("Verdict"),
        TableColumn("Cause"),
        TableColumn("Culprit"),
        TableColumn("Why that is so"),
    )
    return Report("Scenarios", f"{len(labels)} labelled ones.", (Table("Scenarios", columns, rows),))


def _sentence(selftest: Selftest) -> str:
    done, planned = len(selftest.findings), selftest.planned
    what = f"{done} of {planned} experiments" if selftest.partial else f"{done} experiments"
    return f"{what} on {len(selftest.tallies)} labelled scenarios in {seconds(selftest.duration_s)}."


def _sections(selftest: Selftest) -> Iterator[ReportSection]:
    yield rate_table(selftest.rates)
    yield tally_table(selftest.tallies, selftest.labels)
    wrong = tuple(_wrong(selftest))
    if wrong:
        yield Listing("Not as labelled", wrong)
    yield Facts(
        "Design",
        (
            ("Seed", str(selftest.seed)),
            ("Experiments of each scenario", count(selftest.repeat)),
            ("Threshold", percent(selftest.threshold_pct)),
            ("Bystander", "one that wants 40 % of each CPU" if selftest.bystander else "none"),
            ("Noise of a trial alone", percent(selftest.trial_noise_pct)),
            ("Started", selftest.started),
            ("Version", selftest.jostle_version),
        ),
    )
    yield host_facts(selftest.host)


def rate_table(rates: Sequence[Rate]) -> Table:
    """How often it was right, with exact intervals."""
    return Table(
        "How often the verdict is right",
        (TableColumn("Rate"), *figure_columns("Share", "95 % interval", "Count"), TableColumn("Of what")),
        tuple(
            (
                rate.name,
                percent(rate.pct),
                interval(rate.ci95_pct),
                f"{rate.hits} of {rate.trials}",
                rate.meaning,
            )
            for rate in rates
        ),
    )


def tally_table(tallies: Sequence[Tally], labels: Sequence[Label]) -> Table:
    """One row per scenario."""
    by_name = {label.scenario: label for label in labels}
    return Table(
        "Scenarios",
        (
            SCENARIO,
            TableColumn("Label"),
            *figure_columns("Verdict", "Cause", "Blame", "Slower"),
        ),
        tuple(_tally_row(tally, by_name[tally.scenario]) for tally in tallies),
        note="Verdict, cause and blame (the culprit named first): how many were right; the latter two where the "
        "verdict was. Slower is the median slowdown.",
    )


def _tally_row(tally: Tally, label: Label) -> tuple[str, ...]:
    return (
        tally.scenario,
        label.verdict,
        _of(tally.right_verdict, tally.experiments),
        _of(tally.right_cause, tally.right_verdict),
        _of(tally.right_culprit, tally.right_verdict),
        percent(tally.median_slowdown_pct),
    )


def _of(hits: int | None, trials: int) -> str:
    return UNAVAILABLE if hits is None else f"{hits}/{trials}"


def _expected(label: Label) -> tuple[str, str, str]:
    return label.verdict, label.cause or UNAVAILABLE, label.culprit or UNAVAILABLE


def _wrong(selftest: Selftest) -> Iterator[str]:
    labels = {label.scenario: label for label in selftest.labels}
    for finding in selftest.findings:
        label = labels[finding.scenario]
        wrong = [what for what in _differences(label, finding) if what]
        if wrong:
            yield f"{finding.scenario} (seed {finding.seed}): {'; '.join(wrong)}"


def _differences(label: Label, finding: SelftestFinding) -> Iterator[str]:
    if finding.error is not None:
        yield f"failed: {finding.error}"
    elif finding.verdict is not label.verdict:
        yield f"{finding.verdict} instead of {label.verdict}: {finding.reason}"
    else:
        if label.cause is not None and finding.cause is not label.cause:
            yield f"cause {finding.cause or 'none'} ({percent(finding.cause_share_pct)}) instead of {label.cause}"
        if label.culprit is not None and finding.culprit != label.culprit:
            yield f"culprit {finding.culprit or 'none'} instead of {label.culprit}"
