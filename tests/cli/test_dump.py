"""`jostle dump`: what a running agent has by the second is in its history, and why it is not where it cannot be."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.running import Ended, end, is_one_line, run
from tests.cli.test_agent import Place, said, somebody_busy

NS = 10**9


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def dump(place: Place) -> Ended:
    return run("dump", "--history-file", str(place.history))


def by_second(place: Place, *words: str) -> Ended:
    return run("report", "--history-file", str(place.history), "--since", "10m", "--seconds", *words)


@pytest.mark.kernel
def test_a_busy_cgroup_is_seen_in_every_second(place: Place) -> None:
    place.configure(window_s=4, tier="ebpf", more="agent.flight_recorder_mib = 4\n")
    process = place.start()
    with somebody_busy() as path:
        place.until(windows=2)
        ended = dump(place)
        assert ended.code == 0, ended.err
        assert ended.out == ""
        assert "--seconds" in ended.err
        found = by_second(place, "-f", "json", "--cgroup", path)
        assert found.code == 0, found.err
        blamed = run(
            "blame",
            path,
            "--at",
            "now",
            "-d",
            "600",
            "--seconds",
            "--json",
            "--history-file",
            str(place.history),
        )
        process.send_signal(signal.SIGUSR1)
        said(process, "go into the history")
    process.terminate()
    assert end(process).code == 0
    summary = json.loads(found.out)
    assert summary["lost_windows"] == 0
    (cgroup,) = summary["cgroups"]
    # A spinner wants all of the time, so it runs or waits nearly all of it, whoever is beside it.
    assert (cgroup["run_ns"] + cgroup["wait_ns"]) / NS > 0.5 * summary["duration_s"] - 4
    assert json.loads(blamed.out)["cgroup"] == path


def test_where_there_is_no_history_it_says_so(place: Place) -> None:
    ended = dump(place)
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert "there is no history" in ended.err


def test_where_no_agent_runs_it_says_so(place: Place) -> None:
    process = place.start()
    place.until(windows=1)
    kept_none = dump(place)
    process.terminate()
    assert end(process).code == 0
    ended = dump(place)
    for each, told in ((kept_none, "set agent.flight_recorder_mib"), (ended, "no agent is writing")):
        assert each.code == 1
        assert is_one_line(each.err)
        assert told in each.err
    none = by_second(place)
    assert none.code == 2
    assert "the latest seconds it holds are none" in none.err


def test_a_signal_to_an_agent_that_keeps_none_ends_nothing(place: Place) -> None:
    process = place.start()
    place.until(windows=1)
    process.send_signal(signal.SIGUSR1)
    said(process, "there are no seconds to write down")
    place.until(windows=len(place.durations_s()) + 2)
    process.terminate()
    assert end(process).code == 0


def test_a_recorder_below_ebpf_is_refused(place: Place) -> None:
    place.configure(more="agent.flight_recorder_mib = 4\n")
    ended = place.run()
    assert ended.code == 2
    assert 'needs tier = "ebpf"' in ended.err
