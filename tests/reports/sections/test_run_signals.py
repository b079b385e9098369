"""The signals of a recording as tables: none for what nobody knows anything of."""

from msgspec.structs import replace

from reports.sections.model import Table
from reports.sections.run_signals import corun_table, missing_sentences, signal_sections
from tests.agent.analysis.summaries import SUMMARY
from tests.reports.samples import RUNS


def titles(name: str) -> list[str]:
    return [section.title for section in signal_sections(RUNS[name])]


def test_a_recording_without_signals_has_no_such_table() -> None:
    bare = replace(SUMMARY, cgroups=(), host_signals=None, missing={})
    assert list(signal_sections(bare)) == []
    assert missing_sentences(bare) == ()


def test_no_table_is_empty_and_each_stands_once() -> None:
    for name, run in RUNS.items():
        assert len(set(titles(name))) == len(titles(name))
        assert [s.title for s in signal_sections(run) if isinstance(s, Table) and not s.rows] == []


def test_three_partners_are_shown_of_each() -> None:
    for run in RUNS.values():
        assert len(corun_table(run.cgroups).rows) == sum(min(3, len(each.corun_with)) for each in run.cgroups)
