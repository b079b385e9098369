"""`jostle agent`: starts, ends, signals, and what is in the way of its history."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.cli.running import Ended, end, eventually, is_one_line, left_behind, run, start
from tests.kernel.situations import Situation, spin

CONFIG = """\
agent.window_s = {window_s}
agent.tier = "{tier}"
history.path = "{history}"
metrics.listen = "unix:{directory}/metrics.sock"
"""


class Place:
    """A directory with a configuration, and a history that may be elsewhere."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "jostle.toml"
        self.history = directory / "state/history.db"
        self.configure()

    def configure(self, window_s: float = 0.2, tier: str = "schedstat", more: str = "") -> None:
        text = CONFIG.format(window_s=window_s, tier=tier, history=self.history, directory=self.config.parent)
        self.config.write_text(text + more)

    def start(self) -> "subprocess.Popen[str]":
        return start("agent", "--config", str(self.config))

    def run(self) -> Ended:
        return run("agent", "--config", str(self.config))

    def durations_s(self) -> list[float]:
        """Of all windows that can be read now."""
        try:
            with closing(sqlite3.connect(f"file:{self.history}?mode=ro", uri=True)) as db:
                rows = db.execute("SELECT duration_ns FROM windows ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []
        return [duration_ns / 1e9 for (duration_ns,) in rows]

    def has(self, windows: int) -> bool:
        return len(self.durations_s()) >= windows

    def until(self, windows: int) -> None:
        assert eventually(partial(self.has, windows))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextmanager
def somebody_busy() -> Iterator[str]:
    """The path of a cgroup that runs: on a quiet host nobody else need be outside of the root."""
    with Situation() as situation:
        group = situation.group("busy")
        situation.process(spin, group).go()
        yield group.path


def said(process: "subprocess.Popen[str]", text: str) -> str:
    """The next line on standard error that holds a text; reads up to it."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"{text!r} was never said")


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_every_window_and_nothing_left(place: Place, number: signal.Signals) -> None:
    place.configure(tier="ebpf")
    process = place.start()
    place.until(windows=3)
    process.send_signal(number)
    ended = end(process)
    assert ended.code == 0, ended.err
    assert left_behind(ended) == []
    assert [entry.name for entry in place.history.parent.iterdir()] == ["history.db"]
    assert not (place.config.parent / "metrics.sock").exists()
    summary = json.loads(report(place, "--since", "10m").out)
    assert summary["tier"] == "ebpf"
    assert summary["lost_windows"] == 0
    assert summary["cgroups"]


def report(place: Place, *words: str) -> Ended:
    return run("report", "--history-file", str(place.history), "-f", "json", *words)


def test_a_new_configuration_is_taken_over_while_it_runs(place: Place) -> None:
    process = place.start()
    place.until(windows=2)
    place.configure(window_s=1)
    process.send_signal(signal.SIGHUP)
    said(process, "the configuration was read again")
    place.until(windows=len(place.durations_s()) + 3)
    process.terminate()
    assert end(process).code == 0
    *_, latest_s, _short_s = place.durations_s()
    assert latest_s > 0.5


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("agent.windows = 3\n", "jostle.toml:5: agent.windows: there is no such key"),
        ("a = " + "[" * 61_000, "jostle.toml: its values are nested too deeply"),
        ("history.enabled = false\n", "history.enabled cannot change while the agent runs"),
    ],
)
def test_a_configuration_that_cannot_be_taken_over_leaves_the_old_one(
    place: Place, more: str, told: str
) -> None:
    process = place.start()
    place.until(windows=1)
    place.configure(window_s=1, more=more)
    process.send_signal(signal.SIGHUP)
    assert told in said(process, "the configuration stays as it was")
    place.until(windows=len(place.durations_s()) + 3)
    process.terminate()
    assert end(process).code == 0
    assert min(place.durations_s()[-4:-1]) < 0.8


def test_a_wrong_configuration_is_refused_in_one_line(place: Place) -> None:
    place.configure(window_s=-1)
    ended = place.run()
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert f"{place.config}:1: agent.window_s: -1 is not allowed" in ended.err
    assert not place.history.parent.exists()


def test_a_configuration_can_be_checked_alone(place: Place) -> None:
    assert run("agent", "--check", "--config", str(place.config)).code == 0
    place.configure(tier="none")
    assert run("agent", "--check", "--config", str(place.config)).code == 2
    assert not place.history.parent.exists()


def test_a_history_that_is_none_is_refused_before_anything_is_attached(place: Place) -> None:
    place.history.parent.mkdir()
    place.history.write_text("a log\n" * 1000)
    ended = place.run()
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert "is not a history, or damaged" in ended.err


def test_two_agents_with_one_history_are_one_too_many(place: Place) -> None:
    first = place.start()
    place.until(windows=1)
    second = place.run()
    first.terminate()
    assert end(first).code == 0
    assert second.code == 2
    assert "another agent" in second.err


@pytest.mark.parametrize("lives", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_after_kills_it_goes_on_in_the_same_file(place: Place, lives: int) -> None:
    for life in range(1, lives + 1):
        process = place.start()
        place.until(windows=2 * life)
        before = len(place.durations_s())
        process.kill()
        assert end(process).code == -signal.SIGKILL
        assert place.has(before)
    summary = json.loads(report(place, "--since", "2h").out)
    assert summary["lost_windows"] == 0
    assert any(f"restarts of the agent within it: {lives - 1}" in each for each in summary["warnings"])


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of that size."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.mark.kernel
def test_a_disk_that_fills_costs_windows_until_there_is_room_again(place: Place, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        place.history = disk / "history.db"
        place.configure()
        process = place.start()
        place.until(windows=2)
        filler = disk / "filler"
        fill_up(filler)
        assert "disk is full" in said(process, "history failed, the rest goes on")
        filler.unlink()
        assert "history works again; it lost" in said(process, "works again")
        place.until(windows=len(place.durations_s()) + 2)
        process.terminate()
        assert end(process).code == 0
        summary = json.loads(report(place, "--since", "10m").out)
        assert summary["lost_windows"] >= 1


@pytest.mark.kernel
@pytest.mark.parametrize(("make_full", "code"), [(False, 2), (True, 1)])
def test_a_disk_that_takes_nothing_is_refused_at_the_start(
    place: Place,
    tmp_path: Path,
    make_full: bool,  # noqa: FBT001  a parametrised fact
    code: int,
) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        place.history = disk / "history.db"
        place.configure()
        if make_full:
            (disk / "filler").write_bytes(bytes(64 * 1024 - 4096))
        else:
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = place.run()
        assert ended.code == code, ended.err
        assert is_one_line(ended.err)
        assert str(place.history) in ended.err


@pytest.mark.kernel
def test_a_history_on_a_read_only_disk_can_be_asked(place: Place, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        place.history = disk / "history.db"
        place.configure()
        with somebody_busy() as path:
            process = place.start()
            place.until(windows=2)
            process.terminate()
            end(process)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        cgroups = json.loads(report(place, "--since", "10m").out)["cgroups"]
        assert path in {cgroup["path"] for cgroup in cgroups}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Asked while the agent writes."""
    place = Place(tmp_path_factory.mktemp("running"))
    with somebody_busy():
        process = place.start()
        place.until(windows=8)
        yield place
        process.terminate()
        assert end(process).code == 0


def busiest(place: Place) -> str:
    summary = json.loads(report(place, "--since", "10m").out)
    return str(max(summary["cgroups"], key=lambda cgroup: cgroup["run_ns"])["path"])


def test_report_shows_a_period_and_the_cgroups_that_match(running: Place) -> None:
    path = busiest(running)
    ended = report(running, "--since", "10m", "--until", "now", "--cgroup", path)
    assert ended.code == 0
    assert [cgroup["path"] for cgroup in json.loads(ended.out)["cgroups"]] == [path]


def test_blame_asks_about_a_moment(running: Place) -> None:
    path = busiest(running)
    words = ("--at", "now", "-d", "600", "--history-file", str(running.history), "--json")
    ended = run("blame", path, *words)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["cgroup"] == path


def test_compare_takes_two_periods(running: Place) -> None:
    words = ("--history-file", str(running.history), "--cgroup", busiest(running), "--json")
    ended = run("compare", "10m..now", "10m..now", *words)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["verdict"] in {"inconclusive", "no-interference"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "--history-file", "{history}"), "since when"),
        (("report", "--history-file", "{history}", "--since", "soon"), "'soon' is not a point in time"),
        (
            ("report", "--history-file", "{history}", "--since", "2020-01-01", "--until", "2020-01-02"),
            "it holds",
        ),
        (("report", "--history-file", "{history}", "--since", "1m", "--until", "2m"), "holds no time"),
        (("report", "a.run", "--history", "--since", "1m"), "one thing to render"),
        (("report", "a.run", "--since", "1m"), "are for the history"),
        (("report",), "one thing to render"),
        (("report", "--history-file", "/none", "--since", "1m"), "there is no history /none"),
        (("compare", "1m", "2m", "--history-file", "{history}"), "is not a period"),
        (("blame", "/a", "--at", "now", "--run", "a.run"), "leave out one of them"),
        (("blame", "/a", "--history-file", "{history}"), "give --at"),
    ],
)
def test_what_makes_no_sense_is_refused(running: Place, words: tuple[str, ...], told: str) -> None:
    ended = run(*(word.format(history=running.history) for word in words))
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert told in ended.err
