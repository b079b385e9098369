"""The run file: what was written is what is read, and nothing else is taken for one."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields, replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.documents.verdict_parts import Host
from agent.store.run_file import Notes, Run, RunWriter, pack, read_run
from collectors.host.workloads import identify
from collectors.windows.corun import Corun
from collectors.windows.figures import HOST_PRESSURE, CacheSignals, CgroupSignals, CpuSignals, SchedCounters
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import CgroupWindow, CpuWindow, SchedWindow, WaitFor
from collectors.windows.signals import Absence, HostSignals, SignalWindow
from probes.errors import JostleError, UsageError
from probes.perf_event import Reading
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import cgroup, window
from tests.agent.store.checksums import rechecked

COUNTERS = [field.name for field in fields(SchedCounters)]
counts = st.integers(0, 2**62)
figures = st.none() | counts
# Any bytes but NUL and `/` name a cgroup; Python shows those that are no UTF-8 as lone surrogates.
paths = st.binary(min_size=1, max_size=12).map(lambda name: "/" + os.fsdecode(name.replace(b"\0", b"0")))
histograms = st.lists(counts, min_size=len(EDGES_NS), max_size=len(EDGES_NS)).map(tuple)
waits = st.dictionaries(paths, st.builds(WaitFor, counts, counts), max_size=3)


@st.composite
def cgroups(draw: st.DrawFn, path: str) -> CgroupWindow:
    drawn = {name: draw(counts) for name in COUNTERS}
    whole = replace(cgroup(path=path), histogram=draw(histograms), waited_for=draw(waits))
    return replace(whole, **drawn)  # type: ignore[arg-type]  # counters only


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)
names = st.sampled_from(["reads", "cpu.steal_ns", "counters.cycles"])


def some(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Named tuples of figures, of which the limit is a float."""
    fields = {name: figures for name in kind._fields if name != "limit_cpus"}
    limit = (
        {"limit_cpus": st.none() | st.just(inf) | st.floats(0.01, 99)} if "limit_cpus" in kind._fields else {}
    )
    return st.builds(kind, **fields, **limit)


@st.composite
def signals(draw: st.DrawFn, ran: list[str]) -> SignalWindow:
    chosen = st.sets(st.sampled_from(ran)) if ran else st.just(set())
    return SignalWindow(
        cgroups={path: draw(some(CgroupSignals)) for path in draw(chosen)},
        host=HostSignals(
            cpus=draw(st.dictionaries(st.integers(0, 9), some(CpuSignals), max_size=2)),
            pressure={name: draw(figures) for name in HOST_PRESSURE},
            caches=draw(
                st.dictionaries(
                    texts,
                    st.dictionaries(st.integers(0, 9), some(CacheSignals), min_size=1, max_size=2),
                    max_size=2,
                )
            ),
        ),
        counters={
            path: draw(
                st.dictionaries(texts, st.builds(Reading, counts, counts, counts), min_size=1, max_size=2)
            )
            for path in draw(chosen)
        },
        coruns={
            path: draw(st.dictionaries(paths, st.builds(Corun, counts, counts), min_size=1, max_size=2))
            for path in draw(chosen)
        },
        missing=draw(
            st.dictionaries(names, st.builds(Absence, texts, counts, st.none() | texts), max_size=2)
        ),
    )


@st.composite
def windows(draw: st.DrawFn) -> SchedWindow:
    ran = sorted(draw(st.sets(paths, max_size=3)))
    return SchedWindow(
        end_ns=draw(counts),
        duration_ns=draw(st.integers(1, 2**62)),
        cgroups={path: draw(cgroups(path)) for path in ran},
        cpus=tuple(
            draw(st.lists(st.builds(CpuWindow, st.floats(0, 1), st.floats(0, 99), counts), max_size=3))
        ),
        untracked=draw(counts),
        impossible=draw(counts),
        shed=tuple(draw(st.sets(st.sampled_from(["blame", "histograms"])))),
        signals=draw(st.none() | signals(ran)),
    )


def test_every_counter_is_drawn() -> None:
    assert len(COUNTERS) == 13


def write(path: Path, *recorded: SchedWindow, finished: bool = True, **meta: str) -> Path:
    with RunWriter(path, meta) as writer:
        for each in recorded:
            writer.append(each)
        if finished:
            writer.finish()
    return path if finished else path.with_name(path.name + ".partial")


def timeless(run: Run) -> list[SchedWindow]:
    return [replace(each, end_ns=0) for each in run.windows]


@settings(max_examples=40)
@given(st.lists(windows(), min_size=1, max_size=3))
def test_any_windows_are_read_as_they_were_written(recorded: list[SchedWindow]) -> None:
    with TemporaryDirectory() as directory:
        run = read_run(write(Path(directory) / "a.run", *recorded, tier="ebpf"))
    assert timeless(run) == [replace(each, end_ns=0) for each in recorded]
    assert run.meta["tier"] == "ebpf"
    assert not run.partial


def test_a_window_says_whose_cgroups_they_are(tmp_path: Path) -> None:
    path = "/kubepods/burstable/pod1b2c3d4e-5f60-4718-92a3-b4c5d6e7f801"
    ran: CgroupSignals = CgroupSignals(*(None,) * len(CgroupSignals._fields))
    named = SignalWindow(
        {path: ran, "/x\udcff": ran},
        HostSignals({}, dict.fromkeys(HOST_PRESSURE)),
        names={path: identify(path), "/x\udcff": identify("/x\udcff")},
        missing={"reads": Absence("/x\udcff does not exist", 1)},
    )
    recorded = replace(window(cgroup(path=path), cgroup(path="/x\udcff")), signals=named)
    found = [each.signals for each in read_run(write(tmp_path / "a.run", recorded, recorded)).windows]
    assert found[0] is not None
    assert found[0].names[path] == named.names[path]
    assert found[0] == named
    assert found[0] == found[1]


def test_an_unfinished_file_has_another_name_and_says_partial(tmp_path: Path) -> None:
    partial = write(tmp_path / "a.run", window(cgroup(1.0)), finished=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run.partial"]
    assert read_run(partial).partial
    assert len(read_run(partial).windows) == 1


def test_one_that_is_kept_early_gets_its_name_and_says_partial(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", {}) as writer:
        writer.append(window(cgroup(1.0)))
        writer.keep_partial()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run"]
    assert read_run(tmp_path / "a.run").partial


def test_without_a_window_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path / "a.run", finished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "a.run", window(cgroup(1.0)))
    with pytest.raises(UsageError, match="exists already"):
        RunWriter(path, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run"]
    assert len(read_run(path).windows) == 1


def test_two_recordings_into_one_file_do_not_mix(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", {}) as first:
        first.append(window(cgroup(1.0)))
        with pytest.raises(UsageError, match="is being written"):
            RunWriter(tmp_path / "a.run", {})
        first.finish()
    assert len(read_run(tmp_path / "a.run").windows) == 1


def test_a_place_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        RunWriter(tmp_path / "file/a.run", {})


def test_a_full_disk_keeps_what_was_written_before(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", {}) as writer:
        writer.append(window(cgroup(1.0)))
        pages = writer._db.execute("PRAGMA page_count").fetchone()[0]
        writer._db.execute(f"PRAGMA max_page_count = {pages}")
        many = [cgroup(1.0, path=f"/{number}") for number in range(1000)]
        with pytest.raises(JostleError, match="full") as raised:
            writer.append(window(*many))
    assert raised.value.exit_code == 1
    assert len(read_run(tmp_path / "a.run.partial").windows) == 1


def test_a_kill_in_the_middle_of_a_window_leaves_the_windows_before_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from agent.store.run_file import RunWriter\n"
        "from tests.agent.analysis.trials import cgroup, window\n"
        "writer = RunWriter(Path(sys.argv[1]), {})\n"
        "writer.append(window(cgroup(1.0)))\n"
        "writer._db.execute('PRAGMA cache_size = 1')\n"  # so that a half written window reaches the file
        "writer._windows.insert(window(*[cgroup(1.0, path=f'/{n}') for n in range(500)]), 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.run")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "a.run.partial-journal").stat().st_size > 0
    run = read_run(tmp_path / "a.run.partial")
    assert run.partial
    assert [list(each.cgroups) for each in run.windows] == [[cgroup(1.0).path]]


def spoilt(path: Path, *statements: str) -> Path:
    with sqlite3.connect(write(path, window(cgroup(1.0, {"/a": 1.0})))) as db:
        for statement in statements:
            db.execute(statement)
        rechecked(db)
    db.close()
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = 'jostle.run/2' WHERE key = 'schema'",
        "DELETE FROM meta",
        "DROP TABLE windows",
        "ALTER TABLE windows DROP COLUMN packed",
        "UPDATE windows SET packed = x'00'",
        "UPDATE windows SET packed = 'text'",
        "UPDATE windows SET packed = substr(packed, 1, length(packed) - 1)",
        "UPDATE windows SET packed = zeroblob(100)",
        "UPDATE windows SET end_utc_ns = 0.5",
        "UPDATE windows SET end_utc_ns = -1",
        "UPDATE windows SET recording = 'one'",
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, statement: str) -> None:
    path = spoilt(tmp_path / "a.run", statement)
    with pytest.raises(UsageError, match=str(path)):
        read_run(path)


@pytest.mark.parametrize("content", [b"", b"just text\n", b"SQLite format 3\0", b'{"schema": 1}'])
def test_what_is_no_run_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.run"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a run file"):
        read_run(path)


@settings(max_examples=30)
@given(st.floats(0, 1))
def test_a_truncated_file_is_refused_or_read_without_a_fault(part: float) -> None:
    with TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.run", *[window(cgroup(1.0, {"/a": 1.0}))] * 20)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(part * (len(whole) - 1))])
        try:
            run = read_run(path)
        except UsageError:
            return
    assert len(run.windows) == 20


def test_there_must_be_a_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(UsageError, match="there is no run file"):
            read_run(path)


def test_records_in_the_meta_data_are_read_strictly() -> None:
    run = Run(
        {"host": pack(HOST), "notes": pack(Notes(("a",))), "torn": "{", "deep": "[" * 10**5},
        (),
        partial=False,
    )
    assert run.record("host", Host) == HOST
    assert run.record("notes", Notes) == Notes(("a",))
    for key in ("none", "torn", "deep"):
        with pytest.raises(UsageError, match=f"nothing readable of '{key}'"):
            run.record(key, Host)
    with pytest.raises(UsageError, match="warnings"):
        run.record("host", Notes)
