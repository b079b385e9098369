"""Whatever does not answer, a signal ends jostle: kernel files, pipes, sockets and files that strangers hold."""

import contextlib
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.daemon.config import HistoryConfig
from agent.daemon.history_sink import History, Retention
from agent.sandbox.cgroups import Group
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import foreign_cgroup, host_mounts
from tests.cli.running import JOSTLE, ROOT, run
from tests.slowness import SLOWNESS

pytestmark = pytest.mark.kernel
# It is promised on an idle machine; on a busy one it is far from never.
ENDED_S, ENDED_WHERE_BUSY_S = 5.0 * SLOWNESS, 20.0 * SLOWNESS
# So long without using a CPU: it hangs.
_STILL_S = 1.0
_BEGUN_S, _AT_WORK_S = 2.0, 8.0


@dataclass
class Hang:
    """A jostle that meets something that does not answer.

    Attributes:
        words: Of its command line; with `fifo`, `place`, `group`, its `pid`, and where `v2` is.
        over: The file that is the FIFO for this jostle alone, if one is.
        variables: Of its environment.
        unread: The streams that go to a pipe that is full.
    """

    words: str
    over: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    unread: str = ""


_ONE_EXPERIMENT = threading.Lock()
FREEZING = (
    "experiment --tier psi --victim 'sleep 1000' --neighbour-cgroup {group} --allow-freeze -o {own}/out"
)
AGENT = "agent --config {place}/jostle.toml"
HANGS = {
    "experiment: every process's environment": Hang(FREEZING, "/proc/{pid}/environ"),
    "experiment: nobody reads its messages": Hang(FREEZING, unread="2"),
    "record: pressure": Hang("record --tier psi -o {place}/run", "{v2}{group}/cpu.pressure"),
    "top": Hang("top --once -i 1", "/proc/stat"),
    "blame": Hang("blame {group} -d 1", "/proc/stat"),
    "jostle alone": Hang("now -d 1", "/proc/$$/mountinfo"),
    "doctor": Hang("doctor", "/proc/pressure/cpu"),
    "report: nobody reads it": Hang("report {place}/sound.run", unread="1"),
    "agent: its configuration": Hang("agent --config {fifo}"),
    "agent: checks its configuration": Hang("agent --check --config {fifo}"),
    "agent: pressure": Hang(AGENT, "/proc/pressure/io"),
    "agent: its history": Hang("agent --config {place}/history.toml"),
    "agent: the supervisor's socket": Hang(AGENT, variables={"NOTIFY_SOCKET": "{place}/full"}),
    "agent: nobody reads its messages": Hang(AGENT, "/proc/pressure/io", unread="12"),
}

# A file of the kernel's that the main thread reads, one that another reads, a FIFO, SQLite, a pipe.
SOME = [
    "blame",
    "agent: pressure",
    "agent: its configuration",
    "agent: its history",
    "experiment: nobody reads its messages",
]


@pytest.fixture
def group() -> Iterator[Group]:
    with foreign_cgroup(host_mounts(detect_layout()), "exec sleep 1000") as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    assert run("record", "--tier", "psi", "-d", "0.2", "-o", str(tmp_path / "sound.run")).code == 0
    os.mkfifo(tmp_path / "fifo")
    settings = '[agent]\ntier = "psi"\nwindow_s = 1.0\n[metrics]\nenabled = false\n[history]\n'
    (tmp_path / "jostle.toml").write_text(f"{settings}enabled = false\n")
    (tmp_path / "history.toml").write_text(f'{settings}path = "{tmp_path}/history.db"\n')
    History(tmp_path / "history.db", Retention.of(HistoryConfig()), {}).close()
    locked = sqlite3.connect(tmp_path / "history.db")
    locked.executescript("BEGIN EXCLUSIVE")
    with contextlib.closing(locked), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(tmp_path / "full"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer, contextlib.suppress(BlockingIOError):
            writer.setblocking(False)  # noqa: FBT003  its only parameter
            while True:
                writer.sendto(b"x", str(tmp_path / "full"))
        yield tmp_path


def full_pipe() -> int:
    """The end that is written to; the other one stays open, and nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    os.set_inheritable(reader, True)  # noqa: FBT003  its only way
    return writer


def begun(hang: Hang, place: Path, group: Group) -> "subprocess.Popen[bytes]":
    """It, before it meets what does not answer."""
    v2, own, pid = detect_layout().v2_mount, tempfile.mkdtemp(dir=place), min(group.pids())
    names = {"fifo": place / "fifo", "place": place, "own": own, "group": group.path, "pid": pid, "v2": v2}
    bind = f"mount --bind {place}/fifo {hang.over.format(**names)} && " if hang.over else ""
    pipe = full_pipe() if hang.unread else None
    return subprocess.Popen(
        [
            *("unshare", "-m", "--propagation", "private", "sh", "-c"),
            f"{bind} exec {shlex.join(JOSTLE)} {hang.words.format(**names)}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=pipe if "1" in hang.unread else subprocess.DEVNULL,
        stderr=pipe if "2" in hang.unread else subprocess.DEVNULL,
        start_new_session=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **{key: text.format(**names) for key, text in hang.variables.items()},
        },
    )


def cpu_ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]


def ended_s(name: str, place: Path, group: Group) -> float:
    """How long after SIGTERM it is there, once it has done nothing for a second or is at work for five."""
    # Of two experiments on one cgroup the second is refused.
    turn = _ONE_EXPERIMENT if HANGS[name].words == FREEZING else contextlib.nullcontext()
    with turn, begun(HANGS[name], place, group) as process:
        try:
            since_s = begun_s = time.monotonic()
            before = cpu_ticks(process.pid)
            while time.monotonic() - since_s < _STILL_S and time.monotonic() - begun_s < _AT_WORK_S:
                time.sleep(0.1)
                if process.poll() is not None:
                    raise AssertionError(f"{name}: it does not hang, but ends with {process.returncode}")
                if (now := cpu_ticks(process.pid)) != before or time.monotonic() - begun_s < _BEGUN_S:
                    before, since_s = now, time.monotonic()
            process.send_signal(signal.SIGTERM)
            told_s = time.monotonic()
            process.wait(60 * SLOWNESS)
            return time.monotonic() - told_s
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("names", "most_s"),
    [
        pytest.param(SOME, ENDED_WHERE_BUSY_S, id="some"),
        pytest.param(list(HANGS), ENDED_S, id="all", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_what_hangs(place: Path, group: Group, names: list[str], most_s: float) -> None:
    with ThreadPoolExecutor(min(6, len(names))) as pool:
        took_s = dict(zip(names, pool.map(lambda name: ended_s(name, place, group), names), strict=True))
    assert {name: seconds for name, seconds in took_s.items() if seconds > most_s} == {}
