"""The loop on a clock of its own: what it hands on, and what happens when the probe cannot be read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from agent.daemon.config import AgentConfig, Config
from agent.daemon.loop import Loop
from agent.daemon.signals import Signals
from agent.daemon.sinks import Observation
from agent.daemon.workers import Workers
from agent.recording.budget import Governor
from agent.recording.flight import FlightRecorder
from probes.errors import HostChangedError
from probes.snapshot import Snapshot
from tests.agent.daemon.test_workers import SECONDS, Recorded, Told


@dataclass
class Clock:
    """Time that passes where the loop waits, and what happens at a point of it."""

    now_s: float = 1000.0
    at_s: dict[float, Callable[[], None]] = field(default_factory=dict)

    def wait(self, seconds: float) -> None:
        due = sorted(at_s for at_s in self.at_s if at_s <= self.now_s + seconds)
        self.now_s = due[0] if due else self.now_s + seconds
        if due:
            self.at_s.pop(due[0])()


@dataclass
class FakeProbe:
    """A probe that can be read, or not."""

    clock: Clock
    broken: bool = False
    changed: bool = False

    def read(self) -> Snapshot:
        if self.changed:
            raise HostChangedError("CPU 4 was added")
        if self.broken:
            raise OSError("no such map")
        now_ns = round(self.clock.now_s * 1e9)
        return Snapshot(monotonic_ns=now_ns, cgroups={}, waits={}, cpus=(), paths={}, untracked=0)

    def cost(self) -> None: ...

    def shed(self, level: int) -> None: ...


@dataclass
class Watched(Told):
    """A service that counts signs of life."""

    signs: list[float] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def ready(self) -> None:
        self.states.append("ready")

    def alive(self) -> None:
        self.signs.append(self.clock.now_s)

    def reloading(self) -> None:
        self.states.append("reloading")

    def stopping(self) -> None:
        self.states.append("stopping")


class Situation:
    """A loop, its sink and its clock."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        for module in ("agent.recording.recorder", "agent.daemon.loop"):
            monkeypatch.setattr(f"{module}.time.monotonic", lambda: self.clock.now_s)
        self.file = tmp_path / "jostle.toml"
        self.service = Watched(clock=self.clock)
        self.probe = FakeProbe(self.clock)
        self.sink = Recorded(then=self.remember)
        self.signals = Signals()
        monkeypatch.setattr(self.signals, "wait", self.clock.wait, raising=False)
        self.seen: list[Observation] = []
        self.dumped_at_s: list[float] = []

    def remember(self, observation: Observation) -> tuple[()]:
        self.seen.append(observation)
        return ()

    def end(self) -> None:
        self.signals.ending = True

    def reload(self) -> None:
        self.signals.reload_wanted = True

    def dump(self) -> None:
        self.signals.dump_wanted = True

    def run(
        self, seconds: float, window_s: float = 10.0, flight: FlightRecorder | None = None
    ) -> list[float]:
        """Run so long; the lengths of the windows that the sink got."""
        self.clock.at_s[1000 + seconds] = self.end
        workers = Workers([self.sink], self.service)
        Loop(
            config=Config(agent=AgentConfig(window_s=window_s)),
            config_path=self.file,
            governor=Governor(flight or self.probe, 1.0),  # type: ignore[arg-type]  # what is called is there
            workers=workers,
            service=self.service,
            signals=self.signals,
            complete=lambda window, before, after: window,  # noqa: ARG005  nothing to add
            flight=flight,
            dump=lambda: self.dumped_at_s.append(self.clock.now_s - 1000),
        ).run()
        workers.close(SECONDS)
        return [each.sched.duration_ns / 1e9 for each in self.seen]


@pytest.fixture
def situation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Situation:
    return Situation(tmp_path, monkeypatch)


def test_the_last_window_is_as_long_as_it_got(situation: Situation) -> None:
    assert situation.run(25) == [10, 10, 5]
    assert situation.service.states == ["ready", "stopping"]
    assert [each.number for each in situation.seen] == [1, 2, 3]


def test_it_says_that_it_lives_also_within_a_long_window(situation: Situation) -> None:
    situation.service.alive_every_s = 7.0
    situation.run(100, window_s=50.0)
    signs = situation.service.signs
    assert max(later - earlier for earlier, later in pairwise(signs)) <= 7


def test_a_reload_changes_the_length_at_once(situation: Situation) -> None:
    situation.file.write_text("agent.window_s = 5\nagent.budget_pct = 2\n")
    situation.clock.at_s[1012] = situation.reload
    assert situation.run(22) == [10, 2, 5, 5]
    assert situation.service.states == ["ready", "reloading", "ready", "stopping"]
    assert [config.agent.budget_pct for config in situation.sink.configs] == [2.0]


@pytest.mark.parametrize("text", ["agent.window_s = 0\n", "a = " + "[" * 61_000, "a." * 30_000 + "a = 1"])
def test_a_reload_of_what_is_wrong_leaves_everything_as_it_was(situation: Situation, text: str) -> None:
    situation.file.write_text(text)
    situation.clock.at_s[1012] = situation.reload
    assert situation.run(20) == [10, 10]
    assert situation.service.states == ["ready", "reloading", "ready", "stopping"]
    assert "the configuration stays as it was" in situation.service.warned[0]
    assert situation.sink.configs == []


def test_a_probe_that_cannot_be_read_costs_windows_and_is_told_once(situation: Situation) -> None:
    def set_broken(*, broken: bool) -> None:
        situation.probe.broken = broken

    situation.clock.at_s[1015] = lambda: set_broken(broken=True)
    situation.clock.at_s[1045] = lambda: set_broken(broken=False)
    assert situation.run(70)[0] == 10
    assert situation.service.warned == [
        "cannot read the probe, windows are lost until it can be: no such map"
    ]
    assert len(situation.service.informed) == 1
    assert situation.seen[-1].health.lost_windows == 3


def seconds_of(flight: FlightRecorder) -> list[float]:
    return [each.duration_ns / 1e9 for each in flight.flight().seconds]


@pytest.fixture
def flight(situation: Situation) -> FlightRecorder:
    return FlightRecorder(situation.probe, 1 << 20)  # type: ignore[arg-type]  # what is called is there


@pytest.mark.parametrize(
    ("window_s", "windows", "seconds"),
    [
        (10.0, [10, 10, 5], [1] * 25),
        (5.4, [5.4, 5.4, 3.4], [1, 1, 1, 1, 1.4] * 2 + [1, 1, 1, 0.4]),  # nobody knew that it would end
        (2.5, [2.5] * 3, [1, 1.5] * 3),
        (1.0, [1] * 3, [1] * 3),
    ],
)
def test_seconds_are_read_within_windows_of_the_same_lengths(
    situation: Situation, flight: FlightRecorder, window_s: float, windows: list[float], seconds: list[float]
) -> None:
    assert situation.run(sum(windows), window_s, flight) == pytest.approx(windows)
    assert seconds_of(flight) == pytest.approx(seconds)


def test_with_seconds_it_says_that_it_lives_as_often(situation: Situation, flight: FlightRecorder) -> None:
    situation.service.alive_every_s = 0.3
    situation.run(20, 10.0, flight)
    signs = situation.service.signs
    assert max(later - earlier for earlier, later in pairwise(signs)) <= 0.3 + 1e-9


def test_a_second_that_cannot_be_read_is_a_lost_window_and_the_next_is_tried(
    situation: Situation, flight: FlightRecorder
) -> None:
    def set_broken(*, broken: bool) -> None:
        situation.probe.broken = broken

    situation.clock.at_s[1015.2] = lambda: set_broken(broken=True)
    situation.clock.at_s[1045] = lambda: set_broken(broken=False)
    assert situation.run(70, 10.0, flight)[0] == 10
    assert len(situation.service.warned) == len(situation.service.informed) == 1
    assert situation.seen[-1].health.lost_windows == 3
    assert max(seconds_of(flight)) > 30  # what the next reading tells of all that time


def test_a_dump_is_asked_for_at_once(situation: Situation, flight: FlightRecorder) -> None:
    situation.clock.at_s[1003.7] = situation.dump
    assert situation.run(20, 10.0, flight) == [10, 10]
    assert situation.dumped_at_s == pytest.approx([3.7])


def test_on_a_host_that_changed_it_ends_to_be_started_again(situation: Situation) -> None:
    situation.probe.changed = True
    with pytest.raises(HostChangedError):
        situation.run(100)
