"""Seconds in a history: found again by time, beside the windows and never among them, and gone when they are to go."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.daemon.history_sink import AROUND_NS, History, Retention
from agent.documents.event import EventState
from agent.store.flights import flight_span_ns, insert_flight, prune_flights, stored_seconds
from agent.store.opening import open_to_read
from agent.store.query import Period, load_past
from agent.store.run_file import Notes
from agent.store.windows import create_tables
from collectors.windows.seconds import Flight, Kept, kept
from probes.errors import UsageError
from probes.snapshot import CpuFigures, SchedFigures, Snapshot
from tests.agent.daemon.observations import EPOCH_NS, NS, event, observation
from tests.agent.daemon.test_history_sink import FACTS, busy

ROOM = Retention(10**18, 2**40)
ODD = "/caf\udce9"


def reading(second: int) -> Snapshot:
    """Two cgroups that run for more in each second."""
    ran = SchedFigures._make((second**2 * 1000, *(0,) * 14, (0,) * 96))
    return Snapshot(
        monotonic_ns=second * NS,
        cgroups={1: ran, 2: ran._replace(wait_ns=second)},
        waits={},
        cpus=(CpuFigures(0, 0, 0),),
        paths={1: "/a", 2: ODD},
        untracked=0,
        waits_since_ns=(second - 1) * NS,
    )


def flown(first: int, last: int) -> Flight:
    """The seconds that end at these times, by CLOCK_MONOTONIC."""
    seconds = tuple(kept(reading(second - 1), reading(second)) for second in range(first, last + 1))
    return Flight(seconds, {1: "/a", 2: ODD})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def db() -> "sqlite3.Connection":
    made = sqlite3.connect(":memory:")
    create_tables(made)
    return made


def test_what_was_written_is_found_by_its_time(db: sqlite3.Connection) -> None:
    insert_flight(db, 1, flown(1, 200), EPOCH_NS)
    found = stored_seconds(db, (EPOCH_NS + 99 * NS, EPOCH_NS + 103 * NS))
    assert [(each.span.end_utc_ns - EPOCH_NS) // NS for each in found] == [100, 101, 102, 103]
    assert flight_span_ns(db) == (EPOCH_NS, EPOCH_NS + 200 * NS)
    insert_flight(db, 1, flown(301, 302), EPOCH_NS)
    assert flight_span_ns(db) == (EPOCH_NS + 300 * NS, EPOCH_NS + 302 * NS)


@pytest.mark.parametrize("most_bytes", [0, 3_000, 10_000])
def test_they_take_no_more_than_they_may_and_the_oldest_go_first(
    db: sqlite3.Connection, most_bytes: int
) -> None:
    insert_flight(db, 1, flown(1, 600), EPOCH_NS)
    prune_flights(db, 0, most_bytes)
    (held,) = db.execute("SELECT total(length(packed)) FROM flights").fetchone()
    assert held <= most_bytes
    if most_bytes == 10_000:
        assert stored_seconds(db, (0, 2**62))[-1].span.end_utc_ns == EPOCH_NS + 600 * NS


def test_the_old_go(db: sqlite3.Connection) -> None:
    insert_flight(db, 1, flown(1, 600), EPOCH_NS)
    prune_flights(db, EPOCH_NS + 300 * NS, 2**40)
    assert (stored_seconds(db, (0, 2**62))[0].span.begin_utc_ns - EPOCH_NS) // NS == 240


def history(path: Path, flight: Flight) -> History:
    return History(path, ROOM, FACTS, lambda after_ns: Flight(_later(flight, after_ns), flight.paths))


def _later(flight: Flight, after_ns: int) -> tuple[Kept, ...]:
    return tuple(each for each in flight.seconds if each.end_ns > after_ns)


@pytest.fixture
def at_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC was 0 at EPOCH_NS."""
    monkeypatch.setattr("agent.daemon.history_sink.time.time_ns", lambda: EPOCH_NS + 1000 * NS)
    monkeypatch.setattr("agent.daemon.history_sink.time.monotonic_ns", lambda: 1000 * NS)


def seconds_in(path: Path) -> list[int]:
    with closing(open_to_read(path)) as db:
        return [(each.span.end_utc_ns - EPOCH_NS) // NS for each in stored_seconds(db, (0, 2**62))]


@pytest.mark.usefixtures("at_epoch")
def test_a_dump_writes_each_second_once(path: Path) -> None:
    with closing(history(path, flown(1, 130))) as sink:
        sink.on_window(observation(1, *busy(1)))
        sink.dump()
        sink.dump()
        assert seconds_in(path) == list(range(1, 131))


@pytest.mark.usefixtures("at_epoch")
def test_windows_are_the_same_with_seconds_beside_them(path: Path) -> None:
    period = Period(EPOCH_NS, EPOCH_NS + 40 * NS)
    with closing(history(path, flown(1, 40))) as sink:
        for number in range(1, 5):
            sink.on_window(observation(number, *busy(2)))
        before = load_past(path, period)
        sink.dump()
        assert load_past(path, period) == before
    by_second = load_past(path, period, by_second=True)
    assert [each.cgroups["/a"].run_ns for each in by_second.windows] == [
        1000 * (2 * second - 1) for second in range(1, 41)
    ]
    assert sum(each.cgroups[ODD].run_ns for each in by_second.windows) == 1000 * 40**2
    assert by_second.meta["lost_windows"] == "0"
    assert "the scheduler's figures alone" in " ".join(by_second.record("notes", Notes).warnings)


@pytest.mark.usefixtures("at_epoch")
def test_around_the_begin_of_an_incident_seconds_are_kept(path: Path) -> None:
    """Told at 0, it began 10 s before; the windows after it end at 10 s, 20 s, …"""
    so_far: list[Flight] = [flown(1, 5)]
    flight = flown(1, 300)

    def known(after_ns: int) -> Flight:
        return Flight(_later(so_far[0], after_ns), flight.paths)

    with closing(History(path, ROOM, FACTS, known)) as sink:
        sink.on_window(observation(0, *busy(1)))
        sink.on_event(event("/a", state=EventState.CLEARED))
        assert seconds_in(path) == []
        sink.on_event(event("/a"))
        assert seconds_in(path) == [1, 2, 3, 4, 5]
        for number in range(1, 20):
            so_far[0] = Flight(flight.seconds[: 10 * number], flight.paths)
            sink.on_window(observation(number, *busy(1)))
    assert seconds_in(path) == list(range(1, AROUND_NS // NS + 1))


@pytest.mark.usefixtures("at_epoch")
def test_of_a_time_without_seconds_it_says_which_there_are(path: Path) -> None:
    with closing(history(path, flown(1, 40))) as sink:
        sink.on_window(observation(1, *busy(1)))
        with pytest.raises(UsageError, match=r"holds no seconds of .* are none; `jostle dump`"):
            load_past(path, Period(EPOCH_NS, EPOCH_NS + NS), by_second=True)
        sink.dump()
    with pytest.raises(UsageError, match=r"the latest seconds it holds are 20\d\d-.* to 20\d\d-"):
        load_past(path, Period(EPOCH_NS + 50 * NS, EPOCH_NS + 60 * NS), by_second=True)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE flights SET packed = x'00'",
        "UPDATE flights SET packed = substr(packed, 1, length(packed) - 1)",
        "UPDATE flights SET end_utc_ns = end_utc_ns + 1",
        "UPDATE flights SET recording = 'one'",
    ],
)
@pytest.mark.usefixtures("at_epoch")
def test_damaged_seconds_are_told(path: Path, edit: str) -> None:
    with closing(history(path, flown(1, 40))) as sink:
        sink.on_window(observation(1, *busy(1)))
        sink.dump()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(edit)
    with pytest.raises(UsageError, match="damaged"):
        load_past(path, Period(EPOCH_NS, EPOCH_NS + 60 * NS), by_second=True)
