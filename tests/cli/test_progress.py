"""What is said on standard error while an experiment runs."""

import io
import os
import pty
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from agent.cli.experiment_bar import Bar, Pace, clock
from agent.cli.progress import change_so_far, describe, progress
from agent.documents.verdict_parts import Arm
from agent.experiment.design import ALONE, BESIDE_ALL, Treatment
from agent.statistics.decision import decide
from agent.statistics.design import plan_looks
from agent.statistics.effect import Slowdown, TrialPair
from tests.agent.analysis.trials import trial
from tests.cli.running import JOSTLE, ROOT

SLOWED = [TrialPair(1.0, 2.0), TrialPair(1.0, 2.01), TrialPair(1.0, 1.99), TrialPair(1.01, 2.0)]


def test_in_a_log_only_what_matters_is_a_line_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as observer:
        observer.phase_started("warm-up", 9)
        observer.trial_started(1, 0, BESIDE_ALL)
        observer.trial_ended(trial())
        observer.trial_ended(trial(Arm.WITH, void="neighbour-1 \x1b[2J exited with code 1"))
        observer.trial_failed(3, "the victim\nexited")
        observer.looked(decide(SLOWED, "lower", 5.0, plan_looks(4, 24)), 4)
    assert capsys.readouterr().err.splitlines() == [
        r"trial 1 is void and will be repeated: neighbour-1 \x1b[2J exited with code 1",
        r"trial 3 failed and will be repeated: the victim\x0aexited",
        describe(decide(SLOWED, "lower", 5.0, plan_looks(4, 24))),
    ]


def test_a_look_says_how_far_there_is_still_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as observer:
        observer.looked(decide(SLOWED[:1], "lower", 5.0, plan_looks(4, 24)), 8)
    assert capsys.readouterr().err == "inconclusive after 1 pair: slowdown +100.0 %; on to 8 pairs\n"


@pytest.mark.kernel
def test_on_a_terminal_there_is_a_bar_and_the_result_stays_clean(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = [
        "experiment",
        "--victim",
        "true",
        "--neighbour",
        "sleep 1000",
        "--pairs",
        "1",
        "--max-pairs",
        "1",
    ]
    with subprocess.Popen(
        [*JOSTLE, *words, "-o", str(tmp_path / "out"), "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = read_all(ours)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert b"with neighbours" in shown
    assert b"\x1b[" in shown
    assert out.startswith(b"{")
    assert b"\x1b" not in out


def test_the_time_left_is_that_of_the_mean_trial_and_runs_down() -> None:
    pace = Pace(100.0)
    assert pace.left_s(4, 101.0) is None
    pace.trial_ended(102.0)
    pace.trial_ended(104.0)
    assert pace.left_s(4, 104.0) == 8
    assert pace.left_s(4, 105.0) == 7
    assert pace.left_s(1, 200.0) == 0


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (0.1, "0:01"), (65, "1:05"), (3600, "60:00")])
def test_a_clock_shows_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_the_bar_shows_what_runs_the_interval_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("agent.cli.experiment_bar.time.monotonic", lambda: now_s[0])
    bar = Bar()
    bar.phase_started("warm-up", 9)
    now_s[0] = 10.0
    bar.trial_ended(trial(index=0))
    bar.trial_started(1, 11, ALONE)
    bar.narrowed(Slowdown(60.0, (-51.2, 164.0), 4))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(bar.progress)
    shown = console.export_text()
    assert shown.startswith("pair 12 without neighbours ")
    assert shown.endswith(" 1:20 left slowdown −51.2 to +164.0 %\n")
    assert shown.count("\n") == 1
    bar.phase_started("each suspect stopped alone", 8)
    bar.trial_started(10, 0, Treatment(Arm.WITH, stopped="/a/\x1b[2Jb"))
    console.print(bar.progress)
    assert console.export_text().startswith(r"round 1 with all but \x1b[2Jb")


def test_void_trials_are_told_above_the_bar_and_do_not_advance_it(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.phase_started("warm-up", 9)
    bar.trial_ended(trial(index=0, void="the warm-up counts for nothing"))
    bar.trial_ended(trial(Arm.WITH, index=1, void="it died"))
    bar.trial_failed(2, "it exited")
    assert bar.progress.tasks[0].completed == 1
    told = capsys.readouterr().err
    assert "trial 1 is void and will be repeated: it died" in told
    assert "trial 2 failed and will be repeated: it exited" in told
    assert "warm-up counts" not in told


def read_all(terminal: int) -> bytes:
    """All that is written to a terminal until its other end is closed, which Linux tells as EIO."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as file:
        try:
            while read := file.read(65536):
                shown += read
        except OSError:
            pass
    return shown


@pytest.mark.parametrize(
    ("low_pct", "high_pct", "said"),
    [
        (-100.0, 93_775_542.4, "not known yet"),
        (-98.0, 150.0, "not known yet"),
        (-77.0, 152.0, "−77.0 to +152.0 %"),
        (24_000.0, 26_000.0, "+24,000.0 to +26,000.0 %"),
        (-1.04, 4.0, "−1.0 to +4.0 %"),
        (820.0, 990.0, "+820.0 to +990.0 %"),
    ],
)
def test_two_pairs_that_tell_nothing_say_so(low_pct: float, high_pct: float, said: str) -> None:
    assert change_so_far(1.0, (low_pct, high_pct), "lower") == f"slowdown {said}"


def test_half_a_rate_is_no_slowdown_of_a_hundred_per_cent(capsys: pytest.CaptureFixture[str]) -> None:
    halved = [TrialPair(pair.with_, pair.without) for pair in SLOWED]
    with progress() as observer:
        observer.looked(decide(halved, "higher", 5.0, plan_looks(4, 24)), 4)
    assert "4 pairs: change −5" in capsys.readouterr().err
