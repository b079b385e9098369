"""Experiments that die or hang at a moment of chance, and somebody outside who watches what stays frozen or capped.

    .venv/bin/python -m tests.attack.deaths --moments 20     every way to die, so many times each
    .venv/bin/python -m tests.attack.deaths --kills 200      SIGKILL, SIGSTOP over every command that changes

Each has a cgroup of its own to freeze and to cap, so that several can run at once. The figures are those of a watcher:
a process that reads the kernel's files and knows nothing of jostle.
"""

import argparse
import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from agent.sandbox.cgroups import Group, remove_tree
from agent.sandbox.leases import DIRECTORY, LEASE_S
from agent.sandbox.strays import stat_fields
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import foreign_cgroup, host_mounts
from tests.cli.running import JOSTLE, ROOT, cgroups_of, eventually
from tests.slowness import SLOWNESS

Words = Callable[[Group, Group, Path], list[str]]
"""The command that is attacked, by the cgroup that it changes, another one that runs a little, and where it writes."""
OUTLIVES_S = LEASE_S + 3.0
KILLED_S = 2.0
ENDED_S = 5.0
# From the first change on; trials follow upon each other for longer.
_MOMENTS_S = 3.0
_OF_REMEDIES = ("cpu.weight", "cpu.shares", "cpu.idle")
_LIGHT = "while :; do sleep 0.02; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; done"
# Prints what the files say (that a cgroup is empty apart) whenever it is something else, with CLOCK_MONOTONIC.
_WATCHER = """
import json, sys, time
def said(path):
    try:
        return [line for line in open(path).read().splitlines() if not line.startswith("populated")]
    except OSError:
        return None
before = None
while True:
    now = [said(path) for path in sys.argv[1:]]
    if now != before:
        print(json.dumps([time.monotonic(), now]), flush=True)
    before = now
    time.sleep(0.005)
"""


@dataclass
class Watch:
    """What the files of a cgroup said, and since when."""

    process: "subprocess.Popen[str]"
    seen: list[tuple[float, list[object]]] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(BlockingIOError, TypeError):
            while line := self.process.stdout.readline():
                self.seen.append(tuple(json.loads(line)))

    def is_as_before(self) -> bool:
        self.read()
        return bool(self.seen) and self.seen[-1][1] == self.seen[0][1]

    def last_change_s(self) -> float:
        """When it last said something else than at first; the moment it was put back."""
        self.read()
        return self.seen[-1][0]

    def longest_s(self, since_s: float) -> float:
        """How long it said something else than at first in one go, at most, counted from `since_s`."""
        self.read()
        first, longest_s, began_s = self.seen[0][1], 0.0, None
        for at_s, said in [*self.seen, (time.monotonic(), first)]:
            if said != first:
                began_s = at_s if began_s is None else began_s
            elif began_s is not None:
                longest_s, began_s = max(longest_s, at_s - max(began_s, since_s)), None
        return longest_s


@contextlib.contextmanager
def watched(group: Group) -> Iterator[Watch]:
    names = ("cgroup.freeze", "cgroup.events", "freezer.state", "cpu.max", "cpu.cfs_quota_us", *_OF_REMEDIES)
    files = [str(d / name) for d in group.directories for name in names if (d / name).exists()]
    command = [sys.executable, "-I", "-c", _WATCHER, *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        watch = Watch(process)
        try:
            assert eventually(watch.is_as_before)
            yield watch
        finally:
            process.kill()


def freezing(group: Group, _: Group, out: Path, *more: str, victim: str = "sleep 0.7") -> list[str]:
    """An experiment in which the cgroup is frozen or capped nearly always, and which takes half a minute."""
    words = [
        "experiment",
        "--tier",
        "psi",
        "--victim",
        victim,
        "--pairs",
        "1",
        "--max-pairs",
        "1",
        "--sweep",
        "50",
    ]
    return [*words, "--neighbour-cgroup", group.path, "--allow-freeze", "-o", str(out), *more]


@dataclass
class Stage:
    """A running jostle, in cgroups of its own, on a terminal of its own, in a mount namespace of its own."""

    jostle: "subprocess.Popen[bytes]"
    terminal: int
    home: Group
    memory: Path | None
    neighbour: Group
    scratch: Path

    @property
    def janitors(self) -> list[int]:
        """The janitor and its spare; the janitor first."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if b"agent.sandbox.janitor" in words and any(
                    f"/jostle-{self.jostle.pid}-".encode() in word for word in words
                ):
                    found.append(int(path.name))
        return sorted(found, key=lambda pid: _parent(pid) in found)


def _parent(pid: int) -> int:
    return int((stat_fields(pid) or "00")[1])


@contextlib.contextmanager
def staged(
    words: Words,
    scratch: Path,
    script: str = "exec sleep 1000",
    *,
    apart: bool = False,
) -> Iterator[tuple[Stage, Watch]]:
    """A jostle that runs; `apart`: it sees no other one's leases, whose janitor it would let go on when it starts."""
    layout = detect_layout()
    memory = layout.v1_mounts.get("memory")
    with contextlib.ExitStack() as stack:
        neighbour = stack.enter_context(foreign_cgroup(host_mounts(layout), script))
        bystander = stack.enter_context(foreign_cgroup(host_mounts(layout), _LIGHT))
        mounts = [mount for mount in (layout.v2_mount,) if mount]
        home = stack.enter_context(foreign_cgroup(mounts, "exec sleep 1000"))
        bound = memory / home.path[1:] if memory else None
        if bound:
            bound.mkdir()
            stack.callback(remove_tree, bound)
        watch = stack.enter_context(watched(neighbour))
        joined = [*home.directories, *([bound] if bound else [])]
        enter = [f"echo $$ > {directory}/cgroup.procs" for directory in joined]
        if apart:
            (scratch / "leases").mkdir(0o700)
            DIRECTORY.mkdir(0o700, exist_ok=True)
            enter.append(f"mount --bind {scratch}/leases {DIRECTORY}")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [
                *("setsid", "--ctty", "unshare", "-m", "--propagation", "private"),
                *(
                    "sh",
                    "-c",
                    f'{" && ".join(enter)} && exec "$@"',
                    "sh",
                    *JOSTLE,
                    *words(neighbour, bystander, scratch / "out"),
                ),
            ],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context((scratch / "stderr").open("wb")),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(theirs)
        stage = Stage(process, ours, home, bound, neighbour, scratch)
        try:
            yield stage, watch
        finally:
            with contextlib.suppress(OSError):
                os.close(stage.terminal)
            for pid in [process.pid, *stage.janitors]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            process.kill()
            process.wait()
            eventually(lambda: not stage.janitors)


def _signal(stage: Stage, number: signal.Signals, *, jostle: bool = False, janitors: int = 0) -> None:
    pids = [*([stage.jostle.pid] if jostle else []), *stage.janitors[:janitors]]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill_cgroup(stage: Stage) -> None:
    (stage.home.directories[0] / "cgroup.kill").write_text("1")


def _run_out_of_memory(stage: Stage) -> None:
    """Whoever is in the cgroup of jostle's takes more than it may, and jostle is the one to be killed for it."""
    assert stage.memory is not None
    Path(f"/proc/{stage.jostle.pid}/oom_score_adj").write_text("1000")
    used = int((stage.memory / "memory.usage_in_bytes").read_text())
    (stage.memory / "memory.limit_in_bytes").write_text(str(used + (4 << 20)))
    join = f"echo $$ > {stage.memory}/cgroup.procs"
    subprocess.run(
        ["sh", "-c", f"{join}; exec {sys.executable} -I -c 'b = bytearray(64 << 20)'"],
        check=False,
        stderr=subprocess.DEVNULL,
    )


def _hang_up(stage: Stage) -> None:
    os.close(stage.terminal)
    stage.terminal = -1  # by the end another stage's file may have its number


def _hang(stage: Stage) -> None:
    """A file of the kernel's answers no more: what jostle looks through every process for."""
    fifo = stage.scratch / "fifo"
    os.mkfifo(fifo)
    file = f"/proc/{min(stage.neighbour.pids())}/environ"
    subprocess.run(["nsenter", "-t", str(stage.jostle.pid), "-m", "mount", "--bind", fifo, file], check=True)


def _stop_both(stage: Stage) -> None:
    _signal(stage, signal.SIGSTOP, jostle=True, janitors=1)


def _stop_then_kill(stage: Stage) -> None:
    _signal(stage, signal.SIGSTOP, janitors=1)
    _signal(stage, signal.SIGKILL, jostle=True)


WAYS: dict[str, Callable[[Stage], None]] = {
    "SIGKILL of jostle": lambda stage: _signal(stage, signal.SIGKILL, jostle=True),
    "SIGKILL of the janitor": lambda stage: _signal(stage, signal.SIGKILL, janitors=1),
    "SIGKILL of both": lambda stage: _signal(stage, signal.SIGKILL, jostle=True, janitors=1),
    "SIGSTOP of jostle": lambda stage: _signal(stage, signal.SIGSTOP, jostle=True),
    "SIGSTOP of the janitor": lambda stage: _signal(stage, signal.SIGSTOP, janitors=1),
    "cgroup.kill of jostle's cgroup": _kill_cgroup,
    "out of memory": _run_out_of_memory,
    "terminal closed": _hang_up,
    "a file that does not answer": _hang,
    "SIGSTOP of the janitor, SIGKILL of jostle": _stop_then_kill,
    "SIGSTOP of both": _stop_both,
}


def outlived_s(way: str, after_s: float) -> float:
    """How long after it happened a change was still in force; for ever: infinity. It is to be within OUTLIVES_S.

    Where jostle goes on, its janitor with it, it freezes again: then, how long it was in force in one go.
    """
    with (
        tempfile.TemporaryDirectory(prefix="jtest-") as name,
        staged(freezing, Path(name), apart=True) as (stage, watch),
    ):
        assert eventually(lambda: not watch.is_as_before()), (Path(name) / "stderr").read_text()
        time.sleep(after_s)
        WAYS[way](stage)
        happened_s = time.monotonic()
        time.sleep(OUTLIVES_S * SLOWNESS + 1.0)
        if is_running(stage.jostle.pid):
            return watch.longest_s(happened_s)
        return max(0.0, watch.last_change_s() - happened_s) if watch.is_as_before() else float("inf")


def is_running(pid: int) -> bool:
    """Neither ended nor stopped by a signal."""
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "TZ"


def is_clean(stage: Stage, watch: Watch, control: Sequence[str]) -> bool:
    """Nothing of a jostle is left: no cgroup, process, limit, or file of a lease."""
    pid = stage.jostle.pid
    mark = f"JOSTLE_CGROUP=/jostle-{pid}-".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                return False
    leases = any((stage.scratch / "leases").iterdir())
    return watch.is_as_before() and not cgroups_of(pid) and not leases and control == controls()


def controls() -> list[str]:
    """What the top of each hierarchy has enabled below it."""
    return [
        path.read_text() for path in map(Path, ("/sys/fs/cgroup/cgroup.subtree_control",)) if path.exists()
    ]


def remedies(neighbour: Group, victim: Group, out: Path) -> list[str]:
    """What `jostle advise` does as well: in short slots it stands still, has a quota, a weight, the idle class."""
    words = ["experiment", "--victim-cgroup", victim.path, "--neighbour-cgroup", neighbour.path]
    kinds = ["--remedy", "stop", "--remedy", "quota=0.1", "--remedy", "weight=25", "--remedy", "idle"]
    return [*words, "--allow-freeze", *kinds, "--threshold", "0.001", "-o", str(out)]


def recording(_: Group, __: Group, out: Path) -> list[str]:
    return ["record", "-o", str(out), "--tier", "psi", "--", "sh", "-c", "sleep 1000 & sleep 3"]


COMMANDS: dict[str, Words] = {
    "--sweep": freezing,
    "--confirm": lambda group, _, out: [
        *("experiment", "--victim", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'"),
        *("--neighbour-cgroup", group.path, "--allow-freeze", "--confirm", "--neighbour", "sleep 1000"),
        *("--pairs", "2", "-o", str(out)),
    ],
    "--victim-cgroup": lambda _, victim, out: [
        *("experiment", "--victim-cgroup", victim.path, "--neighbour", "sleep 1000"),
        *("--metric", "stretch", "--trial-seconds", "0.5", "--pairs", "2", "-o", str(out)),
    ],
    "--remedy": remedies,
    "record -- CMD": recording,
    "--demo": lambda _, __, out: ["experiment", "--demo", "--pairs", "2", "--max-pairs", "2", "-o", str(out)],
    "selftest": lambda _, __, out: [
        "selftest",
        "--repeat",
        "1",
        "--scenario",
        "spin",
        "-o",
        str(out),
    ],
}


def cleaned_s(command: str, after_s: float, number: signal.Signals) -> float | None:
    """How long after a signal at that moment something is still not as before; None: it had ended by itself."""
    with (
        tempfile.TemporaryDirectory(prefix="jtest-") as name,
        staged(COMMANDS[command], Path(name), apart=True) as (stage, watch),
    ):
        before = controls()
        with contextlib.suppress(subprocess.TimeoutExpired):
            stage.jostle.wait(after_s)
            return None
        stage.jostle.send_signal(number)
        happened_s = time.monotonic()
        if number is signal.SIGSTOP:
            time.sleep(LEASE_S)
            clean: Callable[[], bool] = watch.is_as_before
        else:
            stage.jostle.wait()
            clean = lambda: is_clean(stage, watch, before)  # noqa: E731  one of two
        eventually(clean)
        return time.monotonic() - happened_s


def cleaned_in_the_middle_s(command: str, after_s: float, number: signal.Signals) -> float:
    """The same at an earlier moment if it has ended by then."""
    while (took_s := cleaned_s(command, after_s, number)) is None:
        after_s /= 2
    return took_s


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", type=int, default=4)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)  # noqa: S311  moments, no secrets
    tasks: list[tuple[str, float, Callable[[], float]]] = []
    for _ in range(asked.moments):
        for way in WAYS:
            at_s = dice.uniform(0, _MOMENTS_S)
            tasks.append((way, OUTLIVES_S, lambda way=way, at_s=at_s: outlived_s(way, at_s)))  # type: ignore[misc]
    for count in range(asked.kills):
        command = list(COMMANDS)[count % len(COMMANDS)]
        number = signal.SIGSTOP if dice.random() < 0.1 else signal.SIGKILL
        at_s, most_s = dice.uniform(0, 12.0), OUTLIVES_S if number is signal.SIGSTOP else KILLED_S
        name = f"{number.name} in {command}"
        tasks.append((name, most_s, lambda c=command, a=at_s, n=number: cleaned_in_the_middle_s(c, a, n)))  # type: ignore[misc]
    found: dict[str, list[float]] = defaultdict(list)
    with ThreadPoolExecutor(asked.together) as pool:
        for (name, most_s, _), took_s in zip(tasks, pool.map(lambda task: task[2](), tasks), strict=True):
            found[f"{name} (at most {most_s:g} s)"].append(took_s)
            if took_s > most_s:
                print(f"LATE: {name}: {took_s:.2f} s", flush=True)
    for name, times in found.items():
        print(f"{name:60} {len(times):3} times, as before after {max(times):.2f} s at most")


if __name__ == "__main__":
    _main()
