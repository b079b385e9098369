"""Windows out of the tables. Raises one of `codec.DAMAGE` where they hold what `writing` never wrote."""

import sqlite3
from collections.abc import Callable, Container, Iterator, Mapping, Sequence

from agent.store.codec import count, decode_histogram, decode_path, decode_rows
from agent.store.schema import COUNTERS
from agent.store.signal_reading import Cgroups, figures_in, names, signals_of
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import CgroupWindow, CpuWindow, SchedWindow, WaitFor

EVER = (0, 2**63 - 1)
"""All time, in ns since the epoch."""

_BETWEEN = "FROM windows WHERE end_utc_ns > ? AND end_utc_ns - duration_ns < ?"


def windows(
    db: sqlite3.Connection,
    between_ns: tuple[int, int] = EVER,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[tuple[int, SchedWindow]]:
    """(recording, window) of every window that has a part between two points of time, in the order they were written.

    It holds the cgroups whose path is wanted. Its `end_ns` is CLOCK_REALTIME here, ns since the epoch.
    """
    paths = {number: decode_path(path) for number, path in db.execute("SELECT id, path FROM cgroups")}
    shown = {number for number, path in paths.items() if wanted(path)}
    known = Cgroups(paths, shown, names(db, paths), figures_in(db))
    rows = db.execute(
        f"SELECT id, end_utc_ns, duration_ns, untracked, impossible, shed, recording {_BETWEEN} ORDER BY id",
        between_ns,
    ).fetchall()
    for number, end_ns, duration_ns, untracked, impossible, shed, recording in rows:
        yield (
            count(recording),
            SchedWindow(
                end_ns=count(end_ns),
                duration_ns=max(1, count(duration_ns)),
                cgroups=_cgroups(db, number, paths, shown),
                cpus=_cpus(db, number),
                untracked=count(untracked),
                impossible=count(impossible),
                shed=tuple(shed.split()),
                signals=signals_of(db, number, known),
            ),
        )


def facts(db: sqlite3.Connection, recordings: Sequence[int]) -> dict[str, str]:
    """What was said about some recordings; where they differ, what was said of the latest."""
    rows = db.execute("SELECT recording, key, value FROM facts ORDER BY recording")
    return {key: value for recording, key, value in rows if recording in recordings}


def count_windows(db: sqlite3.Connection, between_ns: tuple[int, int]) -> int:
    """How many windows `windows` would give."""
    return count(db.execute(f"SELECT count(*) {_BETWEEN}", between_ns).fetchone()[0])


def events(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """(recording, document) of every event, in the order they were told."""
    return db.execute(
        "SELECT recording, document FROM events JOIN windows ON windows.id = events.window ORDER BY events.id"
    ).fetchall()


def ends_utc_ns(db: sqlite3.Connection) -> dict[int, int]:
    """When the last window of each recording ended, in ns since the epoch."""
    return dict(db.execute("SELECT recording, max(end_utc_ns) FROM windows GROUP BY recording"))


def span_ns(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Begin and end of all that there is, in ns since the epoch."""
    begin, end = db.execute("SELECT min(end_utc_ns - duration_ns), max(end_utc_ns) FROM windows").fetchone()
    return None if end is None else (count(begin), count(end))


def _cgroups(
    db: sqlite3.Connection, window: int, paths: Mapping[int, str], shown: Container[int]
) -> dict[str, CgroupWindow]:
    rows = db.execute(
        f"SELECT cgroup, histogram, waited_for, {', '.join(COUNTERS)} FROM sched WHERE window = ?",  # noqa: S608  our names
        (window,),
    )
    return {
        paths[cgroup]: CgroupWindow(
            path=paths[cgroup],
            **dict(zip(COUNTERS, map(count, counters), strict=True)),
            histogram=decode_histogram(histogram, len(EDGES_NS)),
            waited_for={
                paths[aggressor]: WaitFor(wait_ns, preemptions)
                for aggressor, wait_ns, preemptions in decode_rows(waits, 3)
            },
        )
        for cgroup, histogram, waits, *counters in rows
        if cgroup in shown
    }


def _cpus(db: sqlite3.Connection, window: int) -> tuple[CpuWindow, ...]:
    rows = db.execute("SELECT running, waiting, switches FROM cpus WHERE window = ? ORDER BY cpu", (window,))
    return tuple(CpuWindow(float(running), float(waiting), count(n)) for running, waiting, n in rows)
