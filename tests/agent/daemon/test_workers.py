"""Sinks that are slow, stuck, failing or late: the loop and the other sinks go on, and it is told once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Event as Flag

import pytest

from agent.daemon.config import AgentConfig, Config
from agent.daemon.sinks import Observation
from agent.daemon.workers import Workers
from agent.documents.event import Event
from probes.errors import JostleError
from tests.agent.daemon.observations import event, observation
from tests.cli.running import eventually

SECONDS = 60.0  # to give up after, never to wait for


@dataclass
class Told:
    """A service that remembers."""

    alive_every_s: float = 1.0
    informed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def inform(self, text: str) -> None:
        self.informed.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def ready(self) -> None: ...
    def alive(self) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...


@dataclass
class Recorded:
    """A sink that remembers what it got, and does what `then` says."""

    name: str = "good"
    then: Callable[[Observation], tuple[Event, ...]] = lambda _: ()
    numbers: list[int] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    configs: list[Config] = field(default_factory=list)
    closed: int = 0

    def on_window(self, observation: Observation) -> tuple[Event, ...]:
        events = self.then(observation)
        self.numbers.append(observation.number)
        return events

    def on_event(self, event: Event) -> None:
        self.heard.append(event.victim)

    def reload(self, config: Config) -> None:
        self.configs.append(config)

    def close(self) -> None:
        self.closed += 1


def has_taken(sink: Recorded, number: int) -> bool:
    return number in sink.numbers


def has_tried(workers: Workers, number: int) -> bool:
    (health,) = workers.health()
    return health.taken + health.lost == number


@pytest.fixture
def gate() -> Iterator[Flag]:
    opened = Flag()
    yield opened
    opened.set()  # no thread of a test outlives it


def test_every_sink_gets_every_window_in_order() -> None:
    sinks = [Recorded("a"), Recorded("b")]
    workers = Workers(sinks, Told())
    for number in range(1, 4):
        workers.submit(observation(number))
    workers.close(SECONDS)
    assert [sink.numbers for sink in sinks] == [[1, 2, 3]] * 2
    assert [sink.closed for sink in sinks] == [1, 1]


def test_a_stuck_sink_loses_windows_and_no_other_does(gate: Flag) -> None:
    in_work = Flag()

    def stick(_: Observation) -> tuple[Event, ...]:
        in_work.set()
        gate.wait()
        return ()

    good, stuck, told = Recorded(), Recorded("stuck", stick), Told()
    workers = Workers([stuck, good], told)
    for number in range(1, 11):
        workers.submit(observation(number))
        assert in_work.wait(SECONDS)
        assert eventually(partial(has_taken, good, number))
    health = {each.name: each for each in workers.health()}
    assert health["good"].taken == 10
    assert (health["stuck"].taken, health["stuck"].lost) == (0, 5)  # one is in work, four wait
    assert "stuck for" in (health["stuck"].trouble or "")
    assert len(told.warned) == 1
    gate.set()
    assert eventually(partial(has_taken, stuck, 5))
    assert eventually(lambda: bool(told.informed))
    workers.close(SECONDS)
    assert stuck.numbers == [1, 2, 3, 4, 5]
    assert told.informed == ["stuck works again; it lost 5 windows or events so far"]


def test_one_that_never_returns_does_not_keep_the_agent_from_ending(gate: Flag) -> None:
    good, told = Recorded(), Told()
    workers = Workers([Recorded("stuck", lambda _: (gate.wait(), ())[1]), good], told)
    workers.submit(observation(1))
    assert eventually(partial(has_taken, good, 1))
    workers.close(1.0)  # all of which the stuck one takes, and meanwhile the other has only to be closed
    assert good.closed == 1
    assert told.warned == ["stuck did not end within 1 s: what it had not written is lost"]


@pytest.mark.parametrize(
    ("error", "words"),
    [(JostleError("the disk is full"), "the disk is full"), (KeyError("a"), "KeyError: 'a'")],
)
def test_a_failing_sink_is_told_once_and_asked_again(error: Exception, words: str) -> None:
    def fail(given: Observation) -> tuple[Event, ...]:
        if given.number <= 3:
            raise error
        return ()

    bad, told = Recorded("bad", fail), Told()
    workers = Workers([bad], told)
    for number in range(1, 6):
        workers.submit(observation(number))
        assert eventually(partial(has_tried, workers, number))
    workers.close(SECONDS)
    assert told.warned == [f"bad failed, the rest goes on: {words}"]
    assert told.informed == ["bad works again; it lost 3 windows or events so far"]
    assert bad.numbers == [4, 5]
    assert bad.closed == 1


def test_what_one_raises_all_hear() -> None:
    sinks = [Recorded("history"), Recorded("detector", lambda _: (event("/a"), event("/b")))]
    workers = Workers(sinks, Told())
    workers.submit(observation(1))
    assert eventually(lambda: all(sink.heard == ["/a", "/b"] for sink in sinks))
    workers.close(SECONDS)


def test_a_new_configuration_comes_before_the_next_window() -> None:
    sink = Recorded()
    workers = Workers([sink], Told())
    new = Config(agent=AgentConfig(window_s=1.0))
    workers.reload(new)
    assert sink.configs == []
    workers.submit(observation(1))
    workers.close(SECONDS)
    assert sink.configs == [new]
