"""The tools that are compared, each started as its users start it, and stopped again."""

import contextlib
import os
import shlex
import shutil
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import Command, start, wait_for_first
from agent.store.opening import PARTIAL_SUFFIX
from benchmarks import accounting
from probes import bpf_syscall, kernel
from probes.bpf_syscall import ATTACH_TRACE_RAW_TP, PROG_TYPE_TRACING, Program
from probes.errors import JostleError

_START_TIMEOUT_S = 30.0
_POLL_S = 0.005
_STOP_GRACE_S = 10.0
_HOUR = "3600"
# Tools attach one program, or open one CPU's buffer, after the other: the first is not yet the last.
_SETTLE_S = 0.5
_BPFTRACE = Path(__file__).parent / "runqlat.bt"
# bpftrace looks for the tracepoints below debugfs, which need not be mounted: here it is, for bpftrace alone.
_WITH_DEBUGFS = 'mount -t debugfs none /sys/kernel/debug && exec "$@"'


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of this comparison.

    Attributes:
        name: As in the results.
        program: What must be installed.
        command: The shell command that records, given a directory for its files.
        is_ready: Whether, given that directory, it records now (BPF programs are seen to run besides).
        uses_bpf: Whether it attaches BPF programs.
    """

    name: str
    program: str
    command: Callable[[Path], str]
    is_ready: Callable[[Path], bool]
    uses_bpf: bool = True

    @property
    def installed(self) -> bool:
        """Whether it can be started."""
        return shutil.which(self.program) is not None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tool at work.

    Attributes:
        pids: Whose BPF programs are its own.
        attached_s: After how long its first program ran; None: it has none.
        is_process: Whether it has processes of its own.
    """

    pids: Callable[[], set[int]]
    attached_s: float | None
    is_process: bool = True


def tools() -> tuple[Tool, ...]:
    """What is compared; the first is ours."""
    jostle = str(Path(sys.executable).parent / "jostle")
    return (
        Tool("jostle", jostle, lambda d: shlex.join(record(jostle, d, _HOUR, "1")), has_window),
        Tool("runqlat", "runqlat", lambda _: f"runqlat {_HOUR}", lambda _: True),
        Tool("bpftrace", "bpftrace", lambda _: _bpftrace(), lambda _: True),
        Tool(
            "perf sched", "perf", lambda d: f"perf sched record -o {d}/perf.data", _has_header, uses_bpf=False
        ),
    )


def record(jostle: str, directory: Path, duration_s: str, interval_s: str) -> list[str]:
    """Our command that records into `RUN_FILE` of a directory.

    Without its budget: under a storm it would leave out work, and the figures would be those of half the work.
    """
    limits = ["-d", duration_s, "-i", interval_s, "--max-overhead", "100"]
    return [jostle, "record", *limits, "-o", str(directory / RUN_FILE)]


RUN_FILE = "ours.run"


def has_window(directory: Path) -> bool:
    """Whether our recording has committed its first window."""
    partial = directory / (RUN_FILE + PARTIAL_SUFFIX)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{partial}?mode=ro", uri=True)) as db:
            return bool(db.execute("SELECT count(*) FROM windows").fetchone()[0])
    except sqlite3.Error:  # not there yet, or without tables yet
        return False


def _bpftrace() -> str:
    return shlex.join(["unshare", "-m", "sh", "-c", _WITH_DEBUGFS, "sh", "bpftrace", str(_BPFTRACE)])


def _has_header(directory: Path) -> bool:
    """Written just before it begins; the events follow when a buffer is half full."""
    data = directory / "perf.data"
    return data.exists() and data.stat().st_size > 0


@contextlib.contextmanager
def loaded(tool: Tool, workspace: Workspace, directory: Path) -> Iterator[Loaded]:
    """The tool, recording; stopped and its files removed at the end.

    Raises:
        JostleError: It ended, or did not begin in time.
    """
    directory.mkdir()
    group = workspace.make(directory.name)
    command = start(f"exec {tool.command(directory)}", group, None, directory / "out", directory / "err")
    try:
        start_s = command.release()
        attached_s = None
        if tool.uses_bpf:
            with accounting.switched_on():
                _wait(tool, command, directory, lambda: _has_run(group.pids()))
            attached_s = time.monotonic() - start_s
        _wait(tool, command, directory, lambda: tool.is_ready(directory))
        time.sleep(_SETTLE_S)
        yield Loaded(group.pids, attached_s)
    finally:
        group.stop(_STOP_GRACE_S)
        command.close()
        group.remove()
        shutil.rmtree(directory)


def _has_run(pids: set[int]) -> bool:
    return accounting.total(accounting.programs(pids).values()).run_count > 0


def _wait(tool: Tool, command: Command, directory: Path, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not condition():
        if wait_for_first([command], _POLL_S) is not None or time.monotonic() > deadline_s:
            said = (directory / "err").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise JostleError(f"{tool.name} did not begin: {' | '.join(said[-3:]) or 'it said nothing'}")


@contextlib.contextmanager
def empty_program() -> Iterator[Loaded]:
    """A program on sched_switch that does nothing: what being there, and being measured, costs on this machine."""
    exit_0 = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = 0; exit
    attach_id = kernel.describe().attach_ids["on_switch"]
    with contextlib.ExitStack() as stack:
        program = bpf_syscall.load(
            Program("bench_empty", exit_0, PROG_TYPE_TRACING, ATTACH_TRACE_RAW_TP, attach_id)
        )
        stack.callback(os.close, program)
        stack.callback(os.close, bpf_syscall.attach_tracepoint(program, None))
        yield Loaded(lambda: {os.getpid()}, None, is_process=False)
