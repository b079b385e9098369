"""Cells (bpf/cells.h): where there are too few, and where a count in one is full."""

import os
import time
from dataclasses import replace

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from probes import kernel
from probes.layout import dimensions_for
from probes.sched_probe import SchedProbe
from probes.snapshot import KEY_OTHER
from tests.kernel.answers import assert_agrees, measure
from tests.kernel.situations import Group, Situation, a_cpu, eventually, spin

pytestmark = pytest.mark.kernel
SIZES = replace(dimensions_for(kernel.count_cpus("possible"), 10_000), cells=256)
_U16 = 1 << 16


def open_probe() -> SchedProbe:
    layout = detect_layout()
    return SchedProbe(ebpf.identity_of(layout), lambda: ebpf.list_cgroups(layout), dimensions=SIZES)


def give_way() -> None:
    while True:
        os.sched_yield()


def brief(situation: Situation, name: str) -> tuple[Group, int]:
    """A cgroup whose process has run for 20 ms, and is stopped; how long it ran, by the kernel's books."""
    group = situation.group(name)
    process = situation.process(spin, group, {a_cpu()})
    at_the_gate = process.schedstat
    process.go()
    time.sleep(0.02)
    process.stop()
    process.await_stop()
    return group, process.schedstat.run_ns - at_the_gate.run_ns


def test_a_count_beyond_16_bits_is_no_less(probe: SchedProbe, situation: Situation) -> None:
    group = situation.group("yielding")
    for _ in range(2):
        situation.process(give_way, group, {a_cpu()})
    answer = measure(probe, situation, 1.5)
    found = answer.of(group)
    assert_agrees(found, answer.books[group])
    assert sum(found.histogram) == pytest.approx(found.switches, rel=0.02)
    if max(found.histogram) < _U16:
        pytest.skip(f"this machine is too slow: {found.switches} switches")


def test_who_finds_no_cell_is_told_and_counted_as_other_until_the_idle_give_theirs(
    situation: Situation,
) -> None:
    with open_probe() as probe:
        made = dict(brief(situation, f"one-{number}") for number in range(SIZES.cells))
        snapshot = probe.read()
        assert snapshot.untracked > 0
        seen_ns = sum(snapshot.cgroups[key].run_ns for key in [*(group.key for group in made), KEY_OTHER])
        assert seen_ns >= 0.98 * sum(made.values())
        late = situation.group("late")
        situation.process(spin, late, {a_cpu()}).go()
        eventually(lambda: probe.read().cgroups[late.key].run_ns > 0, "an idle one's cell is given away")
        after = probe.read()
        for group in made:  # what was in it is not lost
            assert after.cgroups[group.key].run_ns == snapshot.cgroups[group.key].run_ns
