"""Signals into their tables and out again (signal_reading): what is unknown stays so, with its reason."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from math import inf

import pytest

from agent.store.schema import create_tables
from agent.store.signal_reading import Cgroups, figures_in, signals_of
from agent.store.signal_writing import SignalWriter
from collectors.windows.corun import Corun
from collectors.windows.figures import HOST_PRESSURE, CgroupSignals, CpuSignals
from collectors.windows.signals import Absence, HostSignals, SignalWindow
from probes.perf_event import CYCLES, Reading

IDS = {"/a": 1, "/b": 2}
UNKNOWN: CgroupSignals = CgroupSignals(*(None for _ in CgroupSignals._fields))
SIGNALS = SignalWindow(
    cgroups={"/a": UNKNOWN._replace(limit_cpus=inf, major_faults=3), "/b": UNKNOWN},
    host=HostSignals(
        cpus={0: CpuSignals(*(0 for _ in CpuSignals._fields))},
        pressure=dict.fromkeys(HOST_PRESSURE),
        caches={},
    ),
    counters={"/a": {CYCLES.name: Reading(5, 7, 6)}},
    coruns={"/a": {"/b": Corun(10, 20)}},
    missing={"io": Absence("no io controller", 2, "mount one")},
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        create_tables(made)
        yield made


def read(db: sqlite3.Connection, window: int, shown: set[int] | None = None) -> SignalWindow | None:
    paths = {number: path for path, number in IDS.items()}
    return signals_of(db, window, Cgroups(paths, {1, 2} if shown is None else shown, {}, figures_in(db)))


def test_what_is_written_is_read(db: sqlite3.Connection) -> None:
    SignalWriter(db).insert(1, SIGNALS, IDS)
    assert read(db, 1) == SIGNALS


def test_a_window_without_signals_has_none(db: sqlite3.Connection) -> None:
    SignalWriter(db).insert(1, SIGNALS, IDS)
    assert read(db, 2) is None


def test_only_the_cgroups_that_are_wanted_are_read(db: sqlite3.Connection) -> None:
    SignalWriter(db).insert(1, SIGNALS, IDS)
    found = read(db, 1, {2})
    assert found is not None
    assert list(found.cgroups) == ["/b"]


def test_a_reason_is_written_once(db: sqlite3.Connection) -> None:
    writer = SignalWriter(db)
    for number in (1, 2, 3):
        writer.insert(number, SIGNALS, IDS)
    assert db.execute("SELECT reason, remedy FROM reasons").fetchall() == [("no io controller", "mount one")]
