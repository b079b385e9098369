"""Where figures come from: a command that runs again as it stands, and reasons that are said once."""

import shlex

from msgspec.structs import replace

from reports.figures import UNAVAILABLE
from reports.sections.origin import counters_part, own_cost, to_repeat, unavailable_listing
from tests.reports.samples import EVIL, EXPERIMENT


def test_the_command_is_the_same_for_a_shell() -> None:
    words = ("jostle", "experiment", "--victim", "./bench; true", EVIL)
    section = to_repeat(replace(EXPERIMENT, command=words))
    assert tuple(shlex.split(" ".join(section.words))) == words


def test_figures_with_one_reason_are_named_together() -> None:
    listing = unavailable_listing({"b": "no PMU", "a": "no PMU", "c": "not asked for"}, {"a": "cycles"})
    assert listing.items == ("cycles, b: no PMU", "c: not asked for")


def test_a_cost_that_nobody_took_is_not_zero() -> None:
    assert own_cost(None) == UNAVAILABLE
    assert counters_part(None, "no hardware PMU") == "none: no hardware PMU"
    assert counters_part(None, None) == UNAVAILABLE
