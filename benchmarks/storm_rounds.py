"""The order of things: nothing, a tool, nothing, the next tool: each has a pass with nothing loaded on both sides."""

import contextlib
import os
import random
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import start, wait_for_first
from benchmarks import accounting, peers
from benchmarks.accounting import RunStats
from benchmarks.overhead_figures import EMPTY, Visit, with_slowdown
from benchmarks.peers import Loaded
from benchmarks.storms import Pass, Storm, run_pass
from probes.errors import JostleError

_TRIES = 3
_FIRST_WINDOW_S = 0.05
_CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Rounds:
    """Runs storms with tools loaded in turn.

    Attributes:
        foreign_programs: The most tracing programs of others that were loaded meanwhile: they slow the storms too.
        repeated: Passes run again because somebody else had switched the accounting on.
    """

    def __init__(
        self, workspace: Workspace, scratch: Path, cpu: int, pass_s: float, order: random.Random
    ) -> None:
        self._workspace, self._scratch, self._cpu, self._pass_s = workspace, scratch, cpu, pass_s
        self._tools = {tool.name: tool for tool in peers.tools()}
        self._order = order
        self._started = 0
        self.foreign_programs = 0
        self.repeated = 0

    def run(
        self, storm: Storm, names: Iterable[str], rounds: int, progress: Console
    ) -> dict[str, list[Visit]]:
        """`rounds` visits of every tool, by name."""
        visits: dict[str, list[Visit]] = {name: [] for name in names}
        work = self._calibrate(storm)
        for number in range(rounds):
            names = list(visits)
            self._order.shuffle(names)
            before = self._best_pass(storm, work)
            for name in names:
                progress.print(f"{storm.name}, round {number + 1} of {rounds}: {name}", style="dim")
                with self._loaded(name) as loaded:
                    during, visit = self._visit(storm, work, loaded)
                after = self._best_pass(storm, work)
                visits[name].append(with_slowdown(visit, before, during, after))
                before = after
        return visits

    def _visit(self, storm: Storm, work: int, loaded: Loaded) -> tuple[Pass | None, Visit]:
        """A pass without the accounting, which costs time itself, then one with it."""
        foreign = accounting.all_programs() - set(accounting.programs(loaded.pids()))
        self.foreign_programs = max(self.foreign_programs, len(foreign))
        during = self._unaccounted_pass(storm, work, loaded)
        with accounting.switched_on():
            before = _Reading.on_window(loaded)
            self._pass(storm, work)
            after = _Reading.on_window(loaded)
        return during, before.visit(after, loaded)

    def _unaccounted_pass(self, storm: Storm, work: int, loaded: Loaded) -> Pass | None:
        for _ in range(_TRIES):
            before = accounting.total(accounting.programs(loaded.pids()).values()).run_count
            during = self._best_pass(storm, work)
            if accounting.total(accounting.programs(loaded.pids()).values()).run_count == before:
                return during
            self.repeated += 1
        return None

    def _calibrate(self, storm: Storm) -> int:
        """Units of work that take `pass_s`."""
        self._pass(storm, storm.trial_work)
        trial = self._pass(storm, storm.trial_work)
        return max(1, round(storm.trial_work * self._pass_s / trial.wall_s))

    def _best_pass(self, storm: Storm, work: int) -> Pass:
        """Of two passes the one that took less CPU time: what else the machine does can only add."""
        return min((self._pass(storm, work) for _ in range(2)), key=lambda one: one.cpu_s)

    def _pass(self, storm: Storm, work: int) -> Pass:
        group = self._workspace.make("storm")
        try:
            return run_pass(storm, work, group, self._cpu, self._scratch / "storm.out")
        finally:
            group.remove()

    def _loaded(self, name: str) -> contextlib.AbstractContextManager[Loaded]:
        if name == EMPTY:
            return peers.empty_program()
        self._started += 1
        return peers.loaded(self._tools[name], self._workspace, self._scratch / f"tool-{self._started}")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the kernel says at one moment: of the tool's programs by id, of the machine, of the tool."""

    programs: Mapping[int, RunStats]
    switches: int
    tool_cpu_s: float
    monotonic_s: float

    @classmethod
    def on_window(cls, loaded: Loaded) -> "_Reading":
        pids = loaded.pids()
        return cls(
            programs=accounting.programs(pids),
            switches=accounting.context_switches(),
            tool_cpu_s=_cpu_s(pids),
            monotonic_s=time.monotonic(),
        )

    def visit(self, after: "_Reading", loaded: Loaded) -> Visit:
        """The figures between this reading and a later one."""
        switches, seconds = after.switches - self.switches, after.monotonic_s - self.monotonic_s
        runs = accounting.growth(self.programs, after.programs)
        whole = accounting.total(runs)
        own_cpu_pct = 100 * (after.tool_cpu_s - self.tool_cpu_s) / seconds
        return Visit(
            ns_per_switch=whole.run_time_ns / switches if runs else None,
            calls_per_switch=whole.run_count / switches if runs else None,
            hook_ns_per_call=accounting.busiest_ns_per_call(runs),
            switches_per_s=switches / seconds,
            attached_s=loaded.attached_s,
            rss_mb=accounting.resident_mb(loaded.pids()) if loaded.is_process else None,
            tool_cpu_pct=own_cpu_pct if loaded.is_process else None,
        )


def first_sample_s(workspace: Workspace, scratch: Path, cache: Path) -> float:
    """From the start of `jostle record` to its first committed window, without that window's own length.

    What it compiles, it keeps in this directory, or finds there.

    Raises:
        JostleError: It ended without one.
    """
    directory = scratch / "first"
    directory.mkdir()
    group = workspace.make("first")
    argv = peers.record(str(Path(sys.executable).parent / "jostle"), directory, "60", f"{_FIRST_WINDOW_S}")
    command = start(
        shlex.join(["exec", "env", f"JOSTLE_CACHE_DIRECTORY={cache}", *argv]),
        group,
        None,
        directory / "out",
        directory / "err",
    )
    try:
        start_s = command.release()
        while not peers.has_window(directory):
            if wait_for_first([command], 0.005) is not None:
                said = (directory / "err").read_text(encoding="utf-8", errors="replace")
                raise JostleError(f"jostle record ended early: {said.strip()}")
        return time.monotonic() - start_s - _FIRST_WINDOW_S
    finally:
        group.stop()
        command.close()
        group.remove()
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()


def _cpu_s(pids: Iterable[int]) -> float:
    """User and system time of these processes (proc_pid_stat(5), fields 14 and 15)."""
    stats = (Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace") for pid in pids)
    fields = (stat.rpartition(")")[2].split() for stat in stats)
    return sum(int(field[11]) + int(field[12]) for field in fields) / _CLOCK_TICKS_PER_S
