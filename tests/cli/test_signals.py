"""Signals at every stage of an experiment: exit code 130, nothing left running, no cgroup, what was measured kept.

The victim itself sends the signal, to its parent, which is jostle: so the moment is exact on any machine.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from agent.statistics.design import Order, block_orders
from tests.cli.running import end, eventually, left_behind, marked_sleep, run, start

pytestmark = pytest.mark.kernel


def experiment(directory: Path, victim: str, neighbour: str, *more: str) -> list[str]:
    out = str(directory / "out")
    return ["experiment", "--victim", victim, "--neighbour", neighbour, "-o", out, *more]


def on_run(number: int, count: Path, action: str) -> str:
    """A victim that does its work, but on its nth run does something else."""
    return f"echo >> {count}; if [ $(wc -l < {count}) = {number} ]; then {action}; fi"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_during_the_warm_up_leaves_nothing(tmp_path: Path, name: str) -> None:
    victim, neighbour = marked_sleep(), marked_sleep()
    ended = run(*experiment(tmp_path, f"kill -{name} $PPID; {victim}", neighbour))
    assert ended.code == 130
    assert ended.out == ""
    assert "before a pair of trials was complete" in ended.err
    assert not (tmp_path / "out/verdict.json").exists()
    assert left_behind(ended, victim, neighbour) == []


def test_a_signal_after_a_pair_keeps_it_and_says_partial(tmp_path: Path) -> None:
    sleeper, neighbour = marked_sleep(), marked_sleep()
    victim = on_run(4, tmp_path / "runs", f"kill -INT $PPID; {sleeper}")  # warm-up, one pair, and then
    ended = run(*experiment(tmp_path, victim, neighbour, "--json"))
    assert ended.code == 130
    printed = json.loads(ended.out)
    assert printed == json.loads((tmp_path / "out/verdict.json").read_text())
    assert (printed["partial"], printed["effect"]["pairs"], len(printed["trials"])) == (True, 1, 2)
    assert any("interrupted" in warning for warning in printed["quality"]["warnings"])
    assert (tmp_path / "out/report.md").read_text().rstrip()
    assert left_behind(ended, sleeper, neighbour) == []


def test_ctrl_c_reaches_the_whole_process_group(tmp_path: Path) -> None:
    sleeper, neighbour = marked_sleep(), marked_sleep()
    process = start(*experiment(tmp_path, f"touch {tmp_path}/now; {sleeper}", neighbour))
    assert eventually((tmp_path / "now").exists)
    os.killpg(process.pid, signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert left_behind(ended, sleeper, neighbour) == []


def test_ctrl_c_while_the_probe_is_being_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOSTLE_CACHE_DIRECTORY", str(tmp_path / "nothing-is-kept"))
    process = start(*experiment(tmp_path, "true", marked_sleep()))
    assert eventually((tmp_path / "out/raw").exists)
    os.killpg(process.pid, signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert left_behind(ended) == []


def test_a_second_signal_does_not_break_the_cleanup(tmp_path: Path) -> None:
    sleeper, deaf, now = marked_sleep(), marked_sleep(), tmp_path / "now"
    # The neighbour answers the SIGTERM of the cleanup with another Ctrl-C, and then has to be killed.
    answer = f"[ -e {now} ] && kill -INT $PPID && touch {now}.answered"
    neighbour = f"trap '{answer}' TERM; {deaf} & wait; while [ -e {now} ]; do sleep 1; done"
    victim = on_run(4, tmp_path / "runs", f"touch {now}; kill -INT $PPID; {sleeper}")
    seed = next(n for n in range(100) if block_orders(n, 2)[1] is Order.WITH_FIRST)
    ended = run(*experiment(tmp_path, victim, neighbour, "--seed", str(seed)))
    assert ended.code == 130
    assert (tmp_path / "now.answered").exists()
    assert json.loads((tmp_path / "out/verdict.json").read_text())["partial"] is True
    assert left_behind(ended, sleeper, deaf) == []


def test_a_killed_jostle_is_cleaned_up_after(tmp_path: Path) -> None:
    sleeper, neighbour = marked_sleep(), marked_sleep()
    nest = "for d in $(ls -d /sys/fs/cgroup/*/jostle-$PPID-*/victim /sys/fs/cgroup/jostle-$PPID-*/victim); "
    nest += "do mkdir -p $d/a/b; done 2>/dev/null"
    victim = on_run(3, tmp_path / "runs", f"{nest}; kill -KILL $PPID; {sleeper}")
    ended = run(*experiment(tmp_path, victim, neighbour))
    assert ended.code == -signal.SIGKILL
    assert eventually(lambda: not left_behind(ended, sleeper, neighbour))


def test_a_signal_while_reports_are_written_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.cli import main
    from agent.store.files import write_whole

    def interrupted_write(path: Path, text: str) -> None:
        if path.name != "plan.json":  # which is written before the first trial
            os.kill(os.getpid(), signal.SIGINT)
        write_whole(path, text)

    monkeypatch.setattr("agent.cli.experiment.write_whole", interrupted_write)
    # It would end the process that runs the tests, should that stand still later.
    monkeypatch.setattr("agent.cli.exit_codes.end_when_still", lambda *_: None)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        with pytest.raises(SystemExit) as exit_:
            main([*experiment(tmp_path, "true", "sleep 100"), "--pairs", "1", "--max-pairs", "1", "--json"])
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), before, strict=True):
            signal.signal(number, handler)
    assert exit_.value.code == 130
    document = json.loads(capsys.readouterr().out)
    assert document["partial"] is False
    assert document == json.loads((tmp_path / "out/verdict.json").read_text())
    assert (tmp_path / "out/report.md").exists()
