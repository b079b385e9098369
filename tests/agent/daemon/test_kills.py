"""`kill -9` at any moment: what was taken is there, what was not is the one window that was being written."""

import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from agent.daemon.history_sink import History, Retention
from agent.store.windows import windows
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.observations import EPOCH_NS, NS, WINDOW_S, observation

_ROOM = Retention(max_age_ns=10**6 * NS, max_bytes=2**40)


def write_until_killed(path: Path, first: int, retention: Retention, acknowledge: int) -> None:
    """In a child: take one window after the other, and acknowledge each with a byte when it was taken."""
    try:
        history = History(path, retention, {"tier": "ebpf"})
        number = first
        while True:
            history.on_window(
                observation(number, *[cgroup(1.0, {"/a": 0.5}, path=f"/{n}") for n in range(20)])
            )
            os.write(acknowledge, b".")
            number += 1
    finally:
        os._exit(1)


def killed_after(path: Path, first: int, retention: Retention, seconds: float) -> int:
    """How many windows a life acknowledged that ended so long after the first of them."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        write_until_killed(path, first, retention, write_end)
    os.close(write_end)
    with open(read_end, "rb") as acknowledged:  # noqa: PTH123  a descriptor
        begun = len(acknowledged.read(1))
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        return begun + len(acknowledged.read())


def stored(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ends_ns = db.execute("SELECT end_utc_ns FROM windows ORDER BY id").fetchall()
        rows = sum(len(window.cgroups) for _, window in windows(db))
    assert rows == 20 * len(ends_ns)  # no window is there in part
    return [(end_ns - EPOCH_NS) // (WINDOW_S * NS) for (end_ns,) in ends_ns]


@pytest.mark.parametrize("limit", [_ROOM, Retention(max_age_ns=100 * WINDOW_S * NS, max_bytes=2**40)])
def test_100_kills_in_a_row_lose_at_most_one_window_each(tmp_path: Path, limit: Retention) -> None:
    path, order = tmp_path / "history.db", random.Random(1)  # noqa: S311  when to kill is not a secret
    lost, last = [], 0
    for _ in range(100):
        acknowledged = killed_after(path, last + 1, limit, order.uniform(0, 0.03))
        found = stored(path)
        assert found == list(range(found[0], found[-1] + 1))
        # The one in work may have been written although it was not yet acknowledged.
        assert found[-1] - (last + acknowledged) in {0, 1}
        lost.append(last + acknowledged + 1 - found[-1])
        last = found[-1]
    assert max(lost) <= 1
    assert (found[0] == 1) is (limit is _ROOM)
