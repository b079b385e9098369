"""Where figures come from: a command that runs again as it stands, and reasons that are said once."""

import shlex

from msgspec.structs import replace

from agent.documents.verdict_parts import DataFile
from reports.figures import UNAVAILABLE
from reports.sections.origin import counters_part, file_table, own_cost, to_repeat, unavailable_listing
from tests.reports.samples import EVIL, EXPERIMENT


def test_the_command_is_the_same_for_a_shell() -> None:
    words = ("jostle", "experiment", "--victim", "./bench; true", EVIL)
    section = to_repeat(replace(EXPERIMENT, command=words))
    assert tuple(shlex.split(" ".join(section.words))) == words


def test_figures_with_one_reason_are_named_together() -> None:
    listing = unavailable_listing({"b": "no PMU", "a": "no PMU", "c": "not asked for"}, {"a": "cycles"})
    assert listing.items == ("cycles, b: no PMU", "c: not asked for")


def test_files_of_one_kind_are_one_row() -> None:
    trials = tuple(DataFile(f"raw/{number:03}.run", "one trial") for number in range(48))
    table = file_table((DataFile("verdict.json", "the verdict"), *trials))
    assert table.rows == (
        ("verdict.json", "the verdict"),
        ("raw/000.run to raw/047.run", "48 files, each: one trial"),
    )


def test_a_cost_that_nobody_took_is_not_zero() -> None:
    assert own_cost(None) == UNAVAILABLE
    assert counters_part(None, "no hardware PMU") == "none: no hardware PMU"
    assert counters_part(None, None) == UNAVAILABLE
