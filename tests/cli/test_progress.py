"""What is said on standard error while an experiment runs."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from agent.cli.progress import describe, progress
from agent.experiment.setting import BESIDE_ALL
from agent.statistics import Pair, decide, plan_looks
from agent.verdict import Arm
from tests.agent.experiment.trials import trial
from tests.cli.running import JOSTLE, ROOT

SLOWED = [Pair(1.0, 2.0), Pair(1.0, 2.01), Pair(1.0, 1.99), Pair(1.01, 2.0)]


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
    assert capsys.readouterr().err == "inconclusive after 1 pair: slowdown 100.0 %; on to 8 pairs\n"


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
    assert b"with the neighbours" in shown
    assert b"\x1b[" in shown
    assert out.startswith(b"{")
    assert b"\x1b" not in out


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
