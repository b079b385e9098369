"""A self-test of detection as sections: how often what the agent tells is right and how soon, and where it was not."""

from collections.abc import Iterator, Sequence

from agent.documents.selftest_detection import (
    DetectionScore,
    DetectionSelftest,
    DetectionSetting,
    DetectionTime,
    EpisodeLabel,
    EpisodeTally,
    ToldIncident,
)
from reports.figures import UNAVAILABLE, coarse_percent, count, ratio_pct, seconds
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
from reports.sections.selftest import rate_table

EPISODE = TableColumn("Episode", Kind.NAME)
_SETTINGS = {
    DetectionSetting.DEFAULT: "By default (windows of 10 s)",
    DetectionSetting.FAST: "With detection.fast (windows of 1 s)",
}


def detection_report(selftest: DetectionSelftest) -> Report:
    """The rates of both settings, each kind of episode, and every episode of which something else was told."""
    headline = "Self-test of detection (partial)" if selftest.partial else "Self-test of detection"
    report = Report(headline, _sentence(selftest), tuple(_sections(selftest)))
    return titled(report, selftest.title, selftest.note)


def episode_list(labels: Sequence[EpisodeLabel]) -> Report:
    """What would be run, with the labels."""
    rows = tuple(
        (label.episode, label.expects, ", ".join(label.culprits) or UNAVAILABLE, label.truth)
        for label in labels
    )
    columns = (EPISODE, TableColumn("To be told"), TableColumn("Culprit"), TableColumn("Why that is so"))
    return Report("Episodes", f"{len(labels)} labelled ones.", (Table("Episodes", columns, rows),))


def told_in_words(told: ToldIncident) -> str:
    """One incident in a few words: `neighbours (neighbour-1) after 92 s`."""
    whom = "" if told.suspect is None else f" ({told.suspect})"
    when = f"after {seconds(told.after_s)}" if told.after_s >= 0 else "before the change"
    return f"{told.cause}{whom} {when}"


def _sentence(selftest: DetectionSelftest) -> str:
    done, planned = len(selftest.findings), selftest.planned
    what = f"{done} of {planned} episodes" if selftest.partial else f"{done} episodes"
    kinds = len({finding.episode for finding in selftest.findings})
    return f"{what} of {kinds} labelled kinds in {seconds(selftest.duration_s)}."


def _sections(selftest: DetectionSelftest) -> Iterator[ReportSection]:
    for score in selftest.scores:
        table = rate_table(score.rates)
        yield Table(_SETTINGS[score.setting], table.columns, table.rows)
    yield _times(selftest.scores)
    yield _kinds(selftest)
    wrong = tuple(_wrong(selftest))
    if wrong:
        yield Listing("Not as labelled", wrong)
    yield Facts(
        "Design",
        (
            ("Seed", str(selftest.seed)),
            ("Episodes of each kind", count(selftest.repeat)),
            ("Watched before the change", seconds(selftest.before_s)),
            ("Watched after it", seconds(selftest.length_s)),
            ("Started", selftest.started),
            ("Version", selftest.jostle_version),
        ),
    )
    yield host_facts(selftest.host)


def _times(scores: Sequence[DetectionScore]) -> Table:
    return Table(
        "Time to tell",
        (TableColumn("Setting"), *figure_columns("Told", "Median", "10 %", "90 %", "Longest")),
        tuple((score.setting, *_time_row(score.time)) for score in scores),
        note="From when the victim's contention ratio has risen by 0.1 to the end of the window that raised the "
        "incident.",
    )


def _time_row(time: DetectionTime) -> tuple[str, ...]:
    figures = (time.median_s, time.p10_s, time.p90_s, time.most_s)
    return count(time.count), *(seconds(each) for each in figures)


def _kinds(selftest: DetectionSelftest) -> Table:
    """One row per kind: how many were right by either setting, how soon, and how long the victim waited."""
    default, fast = ({tally.episode: tally for tally in score.tallies} for score in selftest.scores)
    return Table(
        "Episodes",
        (
            EPISODE,
            TableColumn("Label"),
            *figure_columns("r before", "after", "Right", "Told", "Fast", "Told"),
        ),
        tuple(
            (
                label.episode,
                label.expects,
                coarse_percent(ratio_pct(default[label.episode].contention_before)),
                coarse_percent(ratio_pct(default[label.episode].contention_after)),
                *_tally_cells(default[label.episode]),
                *_tally_cells(fast[label.episode]),
            )
            for label in selftest.labels
            if label.episode in default
        ),
        note="r is the victim's contention ratio. The first two of the last four columns are of the default setting, "
        "the others of detection.fast: how many were right, and how long it took. All but counts are medians.",
    )


def _tally_cells(tally: EpisodeTally) -> tuple[str, str]:
    return f"{tally.right}/{tally.episodes}", seconds(tally.time_s)


def _wrong(selftest: DetectionSelftest) -> Iterator[str]:
    labels = {label.episode: label for label in selftest.labels}
    for finding in selftest.findings:
        if finding.error is not None:
            yield f"{finding.episode} (seed {finding.seed}) failed and does not count: {finding.error}"
    for score in selftest.scores:
        for place in score.wrong:
            finding = selftest.findings[place]
            told = ", ".join(told_in_words(each) for each in finding.told(score.setting)) or "nothing"
            expects = labels[finding.episode].expects
            yield f"{finding.episode} (seed {finding.seed}), {score.setting}: {told}, labelled {expects}"
