"""Thinning: sums take the place of the oldest windows, and hold exactly what those did, also for whoever asks later."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.history_sink import History, Retention
from agent.daemon.thinning import FIVE_MINUTES_S, MINUTE_S, Thinner
from agent.store.opening import open_to_read
from agent.store.query import Period, load_past
from agent.store.run_file import Notes
from agent.store.windows import (
    Span,
    WindowWriter,
    create_tables,
    events,
    insert_event,
    require_checksums,
    window_spans,
    windows,
)
from collectors.windows.disks import DiskUse
from collectors.windows.network import QueueUse
from collectors.windows.reclaims import ReclaimUse
from collectors.windows.sched import SchedWindow
from tests.agent.analysis.trials import cgroup, window
from tests.agent.daemon.observations import EPOCH_NS, NS, WINDOW_S, observation
from tests.agent.daemon.test_history_sink import FACTS, busy

DAY_NS = 86_400 * NS
_PATHS = ("/a", "/b", "/c")


def made(length_s: int, paths: Sequence[str]) -> SchedWindow:
    """A window in which all figures differ from those of windows of other lengths."""
    cgroups = [
        replace(
            cgroup(length_s * 0.25, {"/x": length_s * 0.5, path: 0.25}, path=path),
            histogram=(length_s,) * 96,
        )
        for path in paths
    ]
    return replace(
        window(*cgroups, duration_s=length_s),
        impossible=length_s,
        disks={"vda": {"/a": DiskUse(reads=length_s, queue_ns=7, waited_for={"/b": length_s})}},
        network={"eth0": {"/a": QueueUse(packets=length_s, waited_for={"/b": 3})}},
        reclaims={"/": {path: ReclaimUse(1, length_s, 5) for path in paths}},
    )


def sums(found: Sequence[SchedWindow]) -> Counter[object]:
    """All that windows count, by what it is: an account of its own, by plain addition."""
    counted: Counter[object] = Counter()
    for each in found:
        counted["duration"] += each.duration_ns
        counted["impossible"] += each.impossible
        counted["switches"] += each.cpus[0].switches
        for path, one in each.cgroups.items():
            counted[path, "run"] += one.run_ns
            counted[path, "wait"] += one.wait_ns
            counted.update({(path, "histogram", place): count for place, count in enumerate(one.histogram)})
            for name, wait in one.waited_for.items():
                counted[path, name] += wait.wait_ns
                counted[path, name, "preemptions"] += wait.preemptions
        for name, use in each.disks.get("vda", {}).items():
            counted["disk", name] += use.reads + 1_000 * use.queue_ns
            counted["disk waits", name] += sum(use.waited_for.values())
        for name, queue in each.network.get("eth0", {}).items():
            counted["queue", name] += queue.packets + 1_000 * sum(queue.waited_for.values())
        for name, reclaim in each.reclaims.get("/", {}).items():
            counted["reclaim", name] += reclaim.pages + 1_000 * reclaim.time_ns
    return counted


Life = list[tuple[int, int, list[str]]]
"""Of each window its length, how many such windows were lost before it, and who ran."""


def lives_of(lengths: Sequence[int]) -> st.SearchStrategy[list[Life]]:
    one = st.tuples(
        st.sampled_from(lengths),
        st.sampled_from((0, 0, 0, 0, 1, 3)),
        st.lists(st.sampled_from(_PATHS), unique=True),
    )
    return st.lists(st.lists(one, min_size=1, max_size=40), min_size=1, max_size=3)


def write(db: sqlite3.Connection, lives: Sequence[Life]) -> list[tuple[Span, SchedWindow]]:
    """The windows of several lives of an agent, the first of which begins at no round time."""
    create_tables(db)
    at_ns, written = EPOCH_NS + 13 * NS, []
    for recording, life in enumerate(lives, 1):
        for length_s, lost, paths in life:
            at_ns += (1 + lost) * length_s * NS
            each = made(length_s, paths)
            number = WindowWriter(db, recording).insert(each, at_ns)
            insert_event(db, number, at_ns, "{}")
            written.append((Span(number, recording, at_ns, each.duration_ns, 1), each))
        at_ns += 100 * NS
    return written


def lost(spans: Sequence[Span]) -> int:
    return sum(after.lost_before(before) for before, after in pairwise(spans))


def covered(spans: Sequence[Span]) -> list[list[int]]:
    """The stretches of time that windows cover, in ns since the epoch."""
    found: list[list[int]] = []
    for span in spans:
        if found and found[-1][1] == span.begin_utc_ns:
            found[-1][1] = span.end_utc_ns
        else:
            found.append([span.begin_utc_ns, span.end_utc_ns])
    return found


def thinned(db: sqlite3.Connection) -> list[Span]:
    """The windows when all of them are of an age at which they may be of five minutes."""
    thinner = Thinner()
    while thinner.thin(db, EPOCH_NS + 10**6 * DAY_NS, DAY_NS):
        require_checksums(db)
    return list(window_spans(db))


@given(st.sampled_from((1, 7, 10, 60, 90, 400)).flatmap(lambda length_s: lives_of([length_s])))
def test_as_many_windows_are_lost_as_were(lives: list[Life]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        write(db, lives)
        before = list(window_spans(db))
        after = thinned(db)
    assert lost(after) == lost(before)
    for one, other in pairwise(after):  # nothing is left that could be one
        assert (
            one.recording != other.recording
            or other.lost_before(one)
            or (one.end_utc_ns - 1) // (FIVE_MINUTES_S * NS)
            != (other.end_utc_ns - 1) // (FIVE_MINUTES_S * NS)
        )


@given(lives_of((1, 7, 10, 13, 60, 400)))
def test_sums_hold_what_was_added_up(lives: list[Life]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        written = write(db, lives)
        before = list(window_spans(db))
        told = events(db)
        after = thinned(db)
        assert sum(span.sum_of for span in after) == len(before)
        assert events(db) == told
        assert covered(after) == covered(before)
        for span, (recording, whole) in zip(after, windows(db), strict=True):
            parts = [(each, kept) for each, kept in written if span.first <= each.number <= span.number]
            assert sums([whole]) == sums([kept for _, kept in parts])
            assert {each.recording for each, _ in parts} == {recording}
            assert span.end_utc_ns == whole.end_ns == parts[-1][0].end_utc_ns
            assert len({(each.end_utc_ns - 1) // (FIVE_MINUTES_S * NS) for each, _ in parts}) == 1


def test_younger_ones_become_minutes_and_the_youngest_stay() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        write(db, [[(10, 0, ["/a"])] * 360])
        now_ns = EPOCH_NS + 13 * NS + 3600 * NS
        thinner = Thinner()
        # Of so great an age what is above 1,200 s old is in 5 minutes, above 150 s in minutes.
        while thinner.thin(db, now_ns, 8400 * NS):
            pass
        by_age = [((now_ns - span.end_utc_ns) / NS, span.duration_ns / NS) for span in window_spans(db)]
    del by_age[0]  # of a span that began before the first window
    assert {length for age, length in by_age if age > 1200 + FIVE_MINUTES_S} == {300.0}
    assert {length for age, length in by_age if 150 + MINUTE_S < age < 1200 - FIVE_MINUTES_S} == {60.0}
    assert {length for age, length in by_age if age < 150} == {10.0}


def fill(path: Path, retention: Retention, count: int, cgroups: int = 10) -> list[int]:
    """The sizes of the file as so many windows come."""
    sizes = []
    with closing(History(path, retention, FACTS)) as history:
        for number in range(1, count + 1):
            history.on_window(observation(number, *busy(cgroups)))
            sizes.append(path.stat().st_size)
    return sizes


def test_a_file_that_is_full_holds_a_longer_time_within_its_size(tmp_path: Path) -> None:
    limit, count = 256 * 1024, 3000
    dropped, thinned = tmp_path / "dropped", tmp_path / "thinned"
    fill(
        dropped, Retention(max_age_ns=10**9 * NS, max_bytes=limit), count
    )  # nothing is old enough to be thinned
    sizes = fill(thinned, Retention(max_age_ns=count * WINDOW_S * NS, max_bytes=limit), count)
    assert max(sizes) <= 1.15 * limit
    with closing(open_to_read(dropped)) as db:
        short = list(window_spans(db))
    with closing(open_to_read(thinned)) as db:
        spans = list(window_spans(db))
        kept = [each for _, each in windows(db)]
    assert spans[-1].number == short[-1].number == count
    assert sum(span.sum_of for span in spans) > 3 * len(short)
    held = sum(span.sum_of for span in spans)
    assert sum(each.cgroups["/pod0"].run_ns for each in kept) == held * NS
    assert spans[-1].sum_of == 1  # the youngest are as they were


def test_a_report_of_thinned_windows_says_so_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "history"
    fill(path, Retention(10**9 * NS, 2**40), 100)
    with closing(sqlite3.connect(path)) as db, db:
        while Thinner().thin(db, EPOCH_NS + DAY_NS, DAY_NS):
            pass
    run = load_past(path, Period(EPOCH_NS, EPOCH_NS + 100 * WINDOW_S * NS))
    assert sum(each.cgroups["/pod0"].run_ns for each in run.windows) == 100 * NS
    assert run.meta["lost_windows"] == "0"
    assert any("windows are sums of up to 300 s" in note for note in run.record("notes", Notes).warnings)


def test_a_window_that_is_damaged_is_left_and_the_others_are_thinned(tmp_path: Path) -> None:
    path = tmp_path / "history"
    fill(path, Retention(10**9 * NS, 2**40), 200)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE windows SET packed = x'00' WHERE id = 2")
        thinner, before = Thinner(), sum(1 for _ in window_spans(db))
        while thinner.thin(db, EPOCH_NS + DAY_NS, DAY_NS):
            pass
        after = list(window_spans(db))
    assert [span.sum_of for span in after[:2]] == [1, 1]
    assert len(after) < before / 4


@pytest.mark.parametrize("cut", [0, 1, 7, 13, 29])
def test_the_newest_is_never_gone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "history"
    fill(path, Retention(10**9 * NS, 2**40), 30 + cut)
    with closing(History(path, Retention(NS, 1), FACTS)) as history:
        for number in range(10**5, 10**5 + 20):
            history.on_window(observation(number, *busy(1)))
            with closing(open_to_read(path)) as db:
                assert list(window_spans(db))[-1].end_utc_ns == EPOCH_NS + number * WINDOW_S * NS
