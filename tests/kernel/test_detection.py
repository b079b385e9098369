"""The real agent beside known victims: what it tells the journal, the history and a scraper."""

import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.documents.event import Event, EventCause, EventState
from collectors.host.hierarchy import is_within
from tests.agent.daemon.metrics.scrapes import Series, parsed, read, series
from tests.agent.sandbox.foreign import outweigh
from tests.cli.running import JOSTLE, ROOT, eventually, run
from tests.collectors.sources.test_tasks import named_spin
from tests.kernel.situations import Group, Situation, a_cpu, spin

pytestmark = pytest.mark.kernel

WINDOW_S = 1
# What is usual is known after six windows; two more, as neither the first nor the last need be whole.
KNOWN_AFTER = 8
# Whatever else this machine does: the probe leaves nothing out to keep its budget.
CONFIG = """
[agent]
window_s = {window_s}
budget_pct = 100
[history]
path = "{directory}/history.db"
[[detection.rules]]
indicator = "wait_per_run"
[[detection.rules]]
indicator = "throttled_share"
method = "threshold"
limit = 0.1
[metrics]
listen = "unix:{directory}/metrics.sock"
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """One that runs."""

    directory: Path

    @property
    def events(self) -> list[Event]:
        """What it has told so far."""
        text = (self.directory / "out").read_text()
        lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
        return [Event.from_document(json.loads(line)) for line in lines]

    def of(self, victim: Group, signal: str) -> list[Event]:
        """What it has told of one signal of one cgroup."""
        return [event for event in self.events if (event.victim, event.indicator) == (victim.path, signal)]

    @property
    def metrics(self) -> dict[Series, float]:
        """A scrape."""
        return parsed(read(f"unix:{self.directory / 'metrics.sock'}")[1])

    @property
    def windows(self) -> float:
        """How many it has read."""
        return self.metrics.get(series("jostle_agent_windows_total"), 0)

    @property
    def kept(self) -> list[Event]:
        """What its history holds."""
        with closing(sqlite3.connect(self.directory / "history.db")) as db:
            rows = db.execute("SELECT document FROM events ORDER BY id").fetchall()
        return [Event.from_document(json.loads(document)) for (document,) in rows]

    def whole_windows(self, since_ns: int, until_ns: int) -> int:
        """How many of its history's lie between two points of time."""
        query = "SELECT count(*) FROM windows WHERE end_utc_ns - duration_ns >= ? AND end_utc_ns <= ?"
        with closing(sqlite3.connect(self.directory / "history.db")) as db:
            (found,) = db.execute(query, (since_ns, until_ns)).fetchone()
        return int(found)


@pytest.fixture
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    directory = tmp_path_factory.mktemp("a")
    config = directory / "jostle.toml"
    config.write_text(CONFIG.format(window_s=WINDOW_S, directory=directory))
    with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
        process = subprocess.Popen(
            [*JOSTLE, "agent", "--config", str(config)], stdout=out, stderr=err, cwd=ROOT
        )
    try:
        started = Agent(directory)
        assert eventually(lambda: (directory / "metrics.sock").exists() or process.poll() is not None)
        assert eventually(lambda: started.windows > 0), (directory / "err").read_text()
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert (code, (directory / "err").read_text()) == (0, "")


def await_known(agent: Agent) -> None:
    """Until it knows what is usual for what runs now."""
    enough = agent.windows + KNOWN_AFTER
    assert eventually(lambda: agent.windows >= enough)


def favoured(situation: Situation) -> Group:
    """A cgroup of the highest weight: what else this machine does is next to nothing to what is below it."""
    group = situation.limitable_group("favoured")
    outweigh(group.directory)
    return group


def test_who_was_left_in_the_root_cgroup_is_named(situation: Situation, agent: Agent) -> None:
    victim = situation.group("victim")
    situation.process(spin, victim, {a_cpu()}).go()
    rivals = [situation.process(named_spin, cpus={a_cpu()}) for _ in range(4)]
    for mount in {situation.layout.v2_mount, situation.layout.v1_mounts.get("cpu")} - {None}:
        for rival in rivals:
            (Path(str(mount)) / "cgroup.procs").write_text(str(rival.pid))
    await_known(agent)
    for rival in rivals:
        rival.go()
    assert eventually(lambda: agent.of(victim, "wait_per_run") != [])
    name = Path(f"/proc/{rivals[0].pid}/comm").read_text().removesuffix("\n")
    first = agent.of(victim, "wait_per_run")[0].suspects[0]
    assert first.cgroup == "/"
    tasks = {task.name: task for task in first.within or ()}
    assert (tasks[name].count, tasks[name].pid in {rival.pid for rival in rivals}) == (4, True)
    assert all(event.victim not in {"/", "kernel"} for event in agent.events)


def test_a_neighbour_is_named_within_two_windows(situation: Situation, agent: Agent) -> None:
    pod = favoured(situation)
    victim, neighbour = situation.group("victim", parent=pod), situation.group("neighbour", parent=pod)
    situation.process(spin, victim, {a_cpu()}).go()
    rivals = [situation.process(spin, neighbour, {a_cpu()}) for _ in range(4)]
    await_known(agent)
    began_ns = time.time_ns()
    for rival in rivals:
        rival.go()
    assert eventually(lambda: agent.of(victim, "wait_per_run") != [])
    event = agent.of(victim, "wait_per_run")[0]
    assert (event.state, event.cause) == (EventState.RAISED, EventCause.NEIGHBOURS), event.findings
    assert event.suspects[0].cgroup == neighbour.path
    assert eventually(lambda: event in agent.kept)
    assert agent.whole_windows(began_ns, event.utc_ns) <= 2
    assert eventually(
        lambda: (
            series(
                "jostle_event_active",
                victim=victim.path,
                indicator="wait_per_run",
                cause="neighbours",
                suspect=neighbour.path,
            )
            in agent.metrics
        )
    )


def test_a_victim_that_throttles_itself_blames_nobody(situation: Situation, agent: Agent) -> None:
    victim = favoured(situation)
    situation.process(spin, victim, {a_cpu()}).go()
    await_known(agent)
    victim.limit(20_000, 100_000)
    assert eventually(lambda: agent.of(victim, "throttled_share") != [])
    event = agent.of(victim, "throttled_share")[0]
    assert (event.state, event.cause, event.suspects) == (EventState.RAISED, EventCause.THROTTLED, ())
    throttling = next(finding for finding in event.findings if finding.gate == "throttling")
    assert throttling.explains is True
    assert "for its own quota, 0.2 CPUs" in throttling.text
    assert [each for each in agent.events if is_within(each.victim, victim.path) and each.suspects] == []


def test_a_port_in_use_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = tmp_path / "jostle.toml"
        config.write_text(f'[history]\nenabled = false\n[metrics]\nlisten = "{address}"\n')
        ended = run("agent", "--config", str(config))
    assert (ended.code, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"jostle: cannot serve metrics on {address} (Address already in use): ")
