"""A collector that is late, stuck or failing costs its own figures, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event as Flag

import pytest

from agent.daemon.deadline import Bounded
from collectors.windows.sched import SchedWindow
from probes.snapshot import Snapshot
from tests.agent.analysis.trials import window
from tests.agent.daemon.test_workers import Told
from tests.cli.running import eventually

NOTHING = Snapshot(monotonic_ns=0, cgroups={}, waits={}, cpus=(), paths={}, untracked=0)
PLAIN = window()
COMPLETED = replace(PLAIN, shed=("completed",))
SECONDS = 60.0  # to give up after, never to wait for


@pytest.fixture
def gate() -> Iterator[Flag]:
    opened = Flag()
    yield opened
    opened.set()


def completing(before: Callable[[], object]) -> Callable[[SchedWindow, Snapshot, Snapshot], SchedWindow]:
    def complete(_window: SchedWindow, _before: Snapshot, _after: Snapshot) -> SchedWindow:
        before()
        return COMPLETED

    return complete


def test_what_comes_in_time_is_handed_out() -> None:
    told = Told()
    bounded = Bounded("files", completing(lambda: None), SECONDS, told)
    assert [bounded(PLAIN, NOTHING, NOTHING) for _ in range(3)] == [COMPLETED] * 3
    bounded.close()
    assert not bounded._thread.is_alive()
    assert (told.warned, told.informed) == ([], [])


def test_one_that_is_stuck_is_told_once_and_not_asked_again_until_it_answers(gate: Flag) -> None:
    told, asked = Told(), []

    def stick() -> None:
        asked.append(1)
        gate.wait()

    bounded = Bounded("files", completing(stick), 0.05, told)
    assert [bounded(PLAIN, NOTHING, NOTHING) for _ in range(4)] == [PLAIN] * 4
    assert eventually(lambda: len(asked) == 1)  # its thread may come later than all four
    assert told.warned == ["files cannot be read, windows are without: no answer within 0.05 s"]
    gate.set()
    assert eventually(lambda: not bounded._answers.empty())
    bounded._within_s = SECONDS
    assert bounded(PLAIN, NOTHING, NOTHING) == COMPLETED  # of its own window: the late answer is dropped
    assert len(asked) == 2
    assert told.informed == ["files can be read again"]
    bounded.close()


def test_one_that_fails_is_told_once_and_asked_for_every_window() -> None:
    told, failures = Told(), [OSError("gone"), OSError("gone"), None]

    def fail() -> None:
        error = failures.pop(0)
        if error is not None:
            raise error

    bounded = Bounded("files", completing(fail), SECONDS, told)
    assert [bounded(PLAIN, NOTHING, NOTHING) for _ in range(3)] == [PLAIN, PLAIN, COMPLETED]
    bounded.close()
    assert told.warned == ["files cannot be read, windows are without: OSError: gone"]
    assert told.informed == ["files can be read again"]


def test_to_prepare_may_be_stuck_as_well(gate: Flag) -> None:
    """As when a file of the kernel does not answer when the agent starts: the loop begins all the same."""
    told = Told()
    bounded = Bounded("files", completing(lambda: None), 0.05, told, prepare=gate.wait)
    assert bounded(PLAIN, NOTHING, NOTHING) == PLAIN
    assert len(told.warned) == 1
    gate.set()
    assert eventually(lambda: bounded(PLAIN, NOTHING, NOTHING) == COMPLETED)
    assert len(told.informed) == 1
    bounded.close()


def test_to_prepare_may_fail() -> None:
    def fail() -> None:
        raise OSError("no such mount")

    told = Told()
    bounded = Bounded("files", completing(lambda: None), SECONDS, told, prepare=fail)
    assert [bounded(PLAIN, NOTHING, NOTHING) for _ in range(2)] == [PLAIN, COMPLETED]
    assert "no such mount" in told.warned[0]
    bounded.close()
