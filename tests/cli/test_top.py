"""`jostle top`: one table, and the live one on a real terminal, which it leaves as it found it."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.documents.top import LiveTable, Lot
from tests.cli.running import ROOT, eventually, is_one_line, run
from tests.cli.tmux import Pane, jostle, pane
from tests.kernel.situations import Situation, a_cpu, fifo_spin, spin

pytestmark = pytest.mark.kernel
# What a task that does not switch has run is told by its last tick, 10 ms apart at most.
TICK_NS = 20_000_000
# Nothing on the screen is called so, the command line that is typed included.
DONE = "echo that''-was-all"


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Pane]:
    with pane(tmp_path) as made:
        yield made


def begin(screen: Pane, *words: str) -> None:
    screen.type(
        f"stty -g > before; {jostle('top', '-i', '0.2', *words)}; echo $? > code; stty -g > after; {DONE}"
    )
    screen.await_text("CGROUP")


def assert_restored(screen: Pane, directory: Path, code: int) -> None:
    screen.await_text("that-was-all")
    assert (directory / "code").read_text() == f"{code}\n"
    assert (directory / "after").read_text() == (directory / "before").read_text()
    assert screen.fact("alternate_on") == "0"
    assert screen.fact("cursor_flag") == "1"
    assert "CGROUP" not in screen.text


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def top_in(screen: Pane) -> int:
    (pid,) = children(int(screen.fact("pane_pid")))
    return pid


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a CPU besides that of a real-time task")
def test_one_table_of_the_cgroups_that_wait() -> None:
    with Situation() as situation:
        victims, hogs = situation.group("victim"), situation.group("hog")
        hog = situation.process(fifo_spin, hogs, {a_cpu()})
        victim = situation.process(spin, victims, {a_cpu()})
        for process in (hog, victim):
            process.go()
        before = victim.schedstat
        ended = run("top", "--once", "--json")
        victim.stop()
        hog.end()
        victim.await_stop()
        after = victim.schedstat
    table = LiveTable.from_document(json.loads(ended.out))
    row = next(row for row in table.cgroups if row.cgroup == victims.path)
    assert row.lot in {Lot.SUFFERS, Lot.STARVED}
    assert 0.5 * table.duration_s * 1e9 < row.wait_ns <= after.wait_ns - before.wait_ns
    assert row.run_ns <= after.run_ns - before.run_ns + TICK_NS
    assert row.wanted_cpus == pytest.approx(1, abs=0.1)
    assert row.lost_cpus == pytest.approx(row.wanted_cpus - row.got_cpus, abs=0.05)
    assert row.waited_for is not None
    assert row.waited_for.cgroup == hogs.path
    assert row.waited_for.share_pct > 70
    assert table.unavailable["ipc"]


@pytest.mark.parametrize("words", [("--once",), ()])
def test_off_a_terminal_one_table_is_printed(words: tuple[str, ...]) -> None:
    ended = run("top", "-i", "0.2", *words)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("TOP: ")
    assert "\x1b" not in ended.out


def test_an_interval_that_is_none_is_bad_usage() -> None:
    ended = run("top", "-i", "0")
    assert ended.code == 2
    assert is_one_line(ended.err)


def test_keys_sort_filter_pause_and_quit(screen: Pane, tmp_path: Path) -> None:
    begin(screen)
    assert screen.fact("alternate_on") == "1"
    screen.await_text("by CPUs lost to others")
    screen.press("s")
    screen.await_text("by p99 of the waits")
    screen.press("S")
    screen.await_text("by CPUs lost to others")
    screen.press("/")
    screen.type("no such cgroup")
    screen.await_text("0 of ")
    screen.press("Escape")
    screen.await_gone("0 of ")
    screen.press("Space")
    screen.await_text("PAUSED")
    screen.press("Space")
    screen.await_gone("PAUSED")
    screen.press("q")
    assert_restored(screen, tmp_path, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_the_terminal_is_restored(
    screen: Pane, tmp_path: Path, number: signal.Signals
) -> None:
    begin(screen)
    os.kill(top_in(screen), number)
    assert_restored(screen, tmp_path, 0)


def test_ctrl_c_ends_it_and_the_terminal_is_restored(screen: Pane, tmp_path: Path) -> None:
    begin(screen)
    screen.press("C-c")
    assert_restored(screen, tmp_path, 0)


def test_ctrl_z_gives_the_terminal_back_until_it_is_in_front_again(screen: Pane) -> None:
    screen.type(jostle("top", "-i", "0.2"))
    screen.await_text("CGROUP")
    screen.press("C-z")
    screen.await_text("Stopped")
    assert screen.fact("alternate_on") == "0"
    assert screen.fact("cursor_flag") == "1"
    screen.type("fg")
    screen.await_text("CGROUP")
    screen.press("s")
    screen.await_text("by p99 of the waits")
    screen.press("q")
    screen.await_gone("CGROUP")
    assert screen.fact("alternate_on") == "0"


def test_windows_of_any_size_do_not_break_it(screen: Pane, tmp_path: Path) -> None:
    begin(screen)
    for width, height in ((40, 10), (12, 4), (3, 2), (200, 50), (80, 24)):
        screen.resize(width, height)
        assert eventually(lambda: bool(screen.text.strip()))
        heading = "CGROUP"[: min(6, width)]
        if height > 2:
            screen.await_text(heading)
    assert "Traceback" not in screen.text
    screen.press("q")
    assert_restored(screen, tmp_path, 0)


CRASH = """
from agent.cli.terminal import Terminal
from agent.sandbox.interrupts import Interrupts

with Interrupts() as interrupts, Terminal(interrupts) as terminal:
    terminal.show("CGROUP")
    terminal.wait(0.1)
    raise RuntimeError("boom")
"""


def test_a_failure_restores_the_terminal(screen: Pane, tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text(CRASH)
    program = shlex.join(["env", f"PYTHONPATH={ROOT}", sys.executable, "crash.py"])
    screen.type(f"stty -g > before; {program} 2> error; echo $? > code; stty -g > after; {DONE}")
    assert_restored(screen, tmp_path, 1)
    assert "boom" in (tmp_path / "error").read_text()
