"""An hour's worth of recorded windows in which nobody is any trouble: the detector has nothing to say.

The recording is real, the clock is not: 360 windows, as many as an hour has of the daemon's. `benchmarks/quiet_hour.py`
says how it was made.
"""

import lzma
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.detection.detector import Detector, Settings
from agent.detection.rules import Rule
from agent.detection.stored_baseline import learn
from agent.documents.event import Event, EventCause
from agent.store.run_file import read_run
from collectors.windows.sched import CgroupWindow, SchedWindow, WaitFor

RECORDING = Path(__file__).with_name("quiet.run.xz")
HOUR_OF_WINDOWS = 360


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Sequence[SchedWindow]:
    path = tmp_path_factory.mktemp("quiet") / "quiet.run"
    path.write_bytes(lzma.decompress(RECORDING.read_bytes()))
    return read_run(path).windows


def victim_of(windows: Sequence[SchedWindow]) -> str:
    return next(path for path in windows[0].cgroups if path.endswith("/web"))


def told(detector: Detector, windows: Sequence[SchedWindow]) -> list[Event]:
    return [
        event for number, window in enumerate(windows) for event in detector.step(window, number * 10**10)
    ]


def test_it_is_an_hours_worth_of_busy_cgroups(quiet: Sequence[SchedWindow]) -> None:
    assert len(quiet) == HOUR_OF_WINDOWS
    services = {path.rpartition("/")[2] for window in quiet for path in window.cgroups}
    assert services == {"web", "queue", "worker", "logger"}
    # It is not for want of waiting that nothing is said.
    web = [window.cgroups[victim_of(quiet)] for window in quiet]
    assert min(cgroup.wait_ns / cgroup.run_ns for cgroup in web) > 0.5


def test_nobody_is_said_to_suffer(quiet: Sequence[SchedWindow]) -> None:
    assert told(Detector(), [*quiet] * 24) == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule("wait_per_run", "sigma", 4.0),
        Rule("wait_per_run", "percent", 200.0),
        Rule("wait_per_run", "threshold", 10.0),
    ],
)
def test_nor_by_the_other_methods(quiet: Sequence[SchedWindow], rule: Rule) -> None:
    assert told(Detector(Settings((rule,))), quiet) == []


def test_nor_by_what_the_first_half_was_like(quiet: Sequence[SchedWindow]) -> None:
    half = len(quiet) // 2
    baseline = learn(quiet[:half])
    assert any(signal == "wait_per_run" for _, signal in baseline)
    rule = Rule("wait_per_run", "baseline", 100.0)
    assert told(Detector(Settings((rule,)), baseline), quiet[half:]) == []


def test_the_same_hour_with_a_neighbour_in_it_has_one_event(quiet: Sequence[SchedWindow]) -> None:
    """Two windows of waiting for another, as long as the victim runs, in the middle of it all."""
    victim = victim_of(quiet)
    spoilt = list(quiet)
    for number in (200, 201):
        spoilt[number] = disturbed(spoilt[number], victim)
    rule = Rule("wait_per_run", "sigma", 4.0)
    (raised, cleared) = told(Detector(Settings((rule,))), spoilt)
    assert (raised.victim, raised.utc_ns, raised.cause) == (victim, 201 * 10**10, EventCause.NEIGHBOURS)
    assert raised.suspects[0].cgroup == "/noisy"
    assert cleared.victim == victim


def disturbed(window: SchedWindow, victim: str) -> SchedWindow:
    before = window.cgroups[victim]
    more_ns = 3 * before.run_ns
    after: CgroupWindow = replace(
        before,
        wait_ns=before.wait_ns + more_ns,
        waited_for={**before.waited_for, "/noisy": WaitFor(more_ns, 100)},
    )
    return replace(window, cgroups={**window.cgroups, victim: after})
