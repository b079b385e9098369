"""Which neighbours run in a trial, what they are called, and that one which is to stand still did."""

from pathlib import Path
from typing import Any, cast

import pytest

from agent.documents.verdict_parts import Arm
from agent.experiment.design import Treatment
from agent.experiment.neighbours import Neighbours
from agent.experiment.outputs import Outputs
from agent.experiment.plan import Plan
from agent.experiment.victim_metrics import parse_spec
from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.existing import ExistingCgroup, Freezable
from agent.sandbox.janitor import Janitor

PLAN = Plan("true", ("cat -u", "sleep 9"), (parse_spec("duration"),), 4, 24, 1, 5.0, 600.0, None)
API, OTHER = "/system.slice/api.service", "/other"


class Pretended:
    """A workspace in which no cgroup is made."""

    def make(self, name: str) -> Group:
        return Group(f"/jostle-1/{name}", ())


def freezable(path: str) -> Freezable:
    return Freezable(ExistingCgroup(path, ()), cast("Any", None))


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbours:
    workspace, janitor = cast("Workspace", Pretended()), Janitor([])
    return Neighbours(PLAN, [freezable(API)], workspace, janitor, Outputs(tmp_path))


def test_commands_and_cgroups_have_the_names_of_the_contract(neighbours: Neighbours) -> None:
    assert neighbours.names() == {
        "/jostle-1/neighbour-1": "neighbour-1 cat",
        "/jostle-1/neighbour-2": "neighbour-2 sleep",
        API: "api.service",
    }


@pytest.mark.parametrize(
    ("treatment", "who_ran", "is_told"),
    [
        (Treatment(Arm.WITHOUT), API, True),
        (Treatment(Arm.WITH), API, False),
        (Treatment(Arm.WITH, stopped=API), API, True),
        (Treatment(Arm.WITH, stopped="/jostle-1/neighbour-1"), API, False),
        (Treatment(Arm.WITHOUT), OTHER, False),
    ],
)
def test_one_that_ran_though_it_was_to_stand_still_is_told(
    neighbours: Neighbours,
    treatment: Treatment,
    who_ran: str,
    is_told: bool,  # noqa: FBT001  a parametrised fact
) -> None:
    told = neighbours.ran_on(treatment, {who_ran: 20_000_000}, 1.0)
    assert told == ("api.service ran for 0.02 s of 1.0 s though it was frozen" if is_told else None)
    assert neighbours.ran_on(treatment, {who_ran: 10_000_000}, 1.0) is None


def test_a_suspect_that_is_no_neighbour_can_be_stopped_too(neighbours: Neighbours) -> None:
    stopped = Treatment(Arm.WITH, stopped=OTHER)
    assert neighbours.ran_on(stopped, {OTHER: 10**9}, 1.0) is None
    neighbours.suspect(freezable(OTHER))
    assert f"{OTHER} ran for 1.00 s" in str(neighbours.ran_on(stopped, {OTHER: 10**9}, 1.0))
