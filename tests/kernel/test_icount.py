"""Counters on an emulated CPU whose every instruction takes JOSTLE_ICOUNT_SHIFT powers of two of nanoseconds.

Its cycle counter runs at 1 GHz, so instructions per cycle are exactly 2^-shift, and a cgroup's instructions are its
run time over 2^shift: that shows that each count goes where it belongs. It shows nothing of real workloads' IPC.
"""

import os

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from collectors.windows import counters
from probes.perf_event import CYCLES, INSTRUCTIONS, available
from tests.kernel.situations import Situation, a_cpu, spin

pytestmark = [pytest.mark.kernel, pytest.mark.icount]
SECONDS = 2.0


@pytest.fixture
def shift() -> int:
    return int(os.environ["JOSTLE_ICOUNT_SHIFT"])


def test_the_pmu_can_be_opened() -> None:
    assert available([CYCLES, INSTRUCTIONS]) == {CYCLES: None, INSTRUCTIONS: None}


def test_each_cgroup_has_the_instructions_of_its_own_run_time(situation: Situation, shift: int) -> None:
    two, one = situation.group("two"), situation.group("one")
    for group in (two, two, one):
        situation.process(spin, group, {a_cpu()})
    with ebpf.open_probe(detect_layout(), (CYCLES, INSTRUCTIONS)) as probe:
        before = probe.read()
        situation.go(SECONDS)
        after, cost = probe.read(), probe.cost().counting
    assert after.uncounted == {}
    assert cost is not None
    print(f"the counters were read {cost.changes} times, at {cost.ns_per_change} ns")
    assert cost.changes > 0
    grown = counters.grown(before, after)
    for group in (two, one):
        found = counters.figures(grown[group.path])
        run_ns = after.cgroups[group.key].run_ns - before.cgroups[group.key].run_ns
        books_ns = sum(process.schedstat.run_ns for process in situation.members[group])
        print(f"{group.path}: ran {run_ns} ns, {found.instructions} instructions, {found.cycles} cycles")
        assert found.ipc == pytest.approx(2**-shift, rel=0.01)
        assert found.instructions == pytest.approx(run_ns / 2**shift, rel=0.02)
        assert run_ns == pytest.approx(books_ns, rel=0.02)
        assert found.running_ratio == pytest.approx(1, rel=0.02)
