"""`jostle` alone, in situations that are made for it; the kernel's own books are the oracle."""

import json
import os
from pathlib import Path

import pytest

from agent.documents.blame import Charge
from agent.documents.now import HostNow, Reason
from agent.documents.top import Lot
from agent.store.run_file import read_run
from tests.cli.running import Ended, run
from tests.kernel.situations import Situation, a_cpu, fifo_spin, spin

pytestmark = pytest.mark.kernel
TICK_NS = 20_000_000


def told(ended: Ended) -> HostNow:
    return HostNow.from_document(json.loads(ended.out))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a CPU besides that of a real-time task")
def test_a_victim_pinned_behind_a_hog_is_told_with_the_hog_and_the_way_out() -> None:
    with Situation() as situation:
        victims, hogs = situation.group("victim"), situation.group("hog")
        hog = situation.process(fifo_spin, hogs, {a_cpu()})
        victim = situation.process(spin, victims, {a_cpu()})
        for process in (hog, victim):
            process.go()
        before = victim.schedstat
        ended = run("--json", "-d", "2")
        victim.stop()
        hog.end()
        victim.await_stop()
        after = victim.schedstat
    found = told(ended)
    sufferer = next(each for each in found.sufferers if each.cgroup == victims.path)
    assert sufferer.allowed_cpus == (a_cpu(),)
    assert sufferer.aggressor is not None
    assert sufferer.aggressor.cgroup == hogs.path
    waited_ns = sum(part.wait_ms for part in sufferer.behind) * 1e6
    assert 0.5 * found.duration_s * 1e9 < waited_ns <= after.wait_ns - before.wait_ns + TICK_NS
    assert sufferer.got_cpus * found.duration_s * 1e9 <= after.run_ns - before.run_ns + TICK_NS
    assert sufferer.reason in {Reason.PINNED, Reason.FULL}  # other people's processes may fill the other CPUs
    assert (sufferer.reason is Reason.PINNED) == bool(sufferer.idle_cpus)


def test_a_cgroup_that_its_quota_holds_back_is_not_blamed_on_anybody() -> None:
    with Situation() as situation:
        limited = situation.limitable_group()
        limited.limit(10_000, 100_000)
        situation.process(spin, limited).go()
        before_ns = limited.throttled_ns
        ended = run("--json", "-d", "2")
        assert limited.throttled_ns > before_ns
    sufferer = next(each for each in told(ended).sufferers if each.cgroup == limited.path)
    # Beside a crowd of others, they may have more of it than the quota has.
    assert (sufferer.reason is Reason.QUOTA) == (sufferer.lot is Lot.QUOTA)
    assert sufferer.lot is Lot.QUOTA or sufferer.behind[0].charge is not Charge.THROTTLED
    assert (sufferer.quota_cgroup, sufferer.quota_cpus) == (limited.path, 0.1)
    assert ("raise the quota" in sufferer.advice[0]) == (sufferer.reason is Reason.QUOTA)


def test_what_a_cgroup_usually_loses_stands_beside_what_it_loses_now(tmp_path: Path) -> None:
    history = str(tmp_path / "history.run")
    with Situation() as situation:
        victims, others = situation.group("victim"), situation.group("other")
        for group in (victims, others):
            situation.process(spin, group, {a_cpu()}).go()
        assert run("record", "-d", "2.5", "-i", "0.1", "-o", history).code == 0
        now = told(run("--json", "-d", "1", "--history-file", history))
        table = run("top", "--once", "--history-file", history)
    usual = next(each.usual for each in now.sufferers if each.cgroup == victims.path)
    assert usual is not None
    # All of the recording, of which a busy machine makes fewer.
    recorded = read_run(Path(history)).windows
    assert usual.windows == len(recorded) > 1
    assert 0 < usual.median_cpus <= usual.p95_cpus <= 1.1  # it is one task
    assert "of this host's history" in now.history
    assert "Usual" in table.out
    assert "try: " in table.out
    broken = tmp_path / "broken.db"
    broken.write_text("no history")
    refused = run("-d", "1", "--history-file", str(broken))
    assert (refused.code, refused.out) == (2, "")


def test_on_a_terminal_three_lines_come_first() -> None:
    ended = run("-d", "1")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith("NOW: ")
    begins = [line.partition(":")[0].strip() for line in lines]
    assert begins.index("why") < begins.index("try") < begins.index("")
    assert "watching this host" in ended.err
    assert run("now", "-d", "0").code == 2
