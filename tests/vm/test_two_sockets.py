"""In a guest of two sockets, two NUMA nodes and two threads a core: jostle tells its CPUs apart as QEMU was told to.

The oracle is QEMU's command line (`qemu.two_sockets`): siblings are neighbours, and each half is a socket with a cache.
"""

import os
from collections.abc import Iterator

import pytest

from agent.recording.host import describe_host
from collectors.host.hierarchy import detect_layout
from collectors.host.topology import CpuGroups, read_topology
from collectors.sources import ebpf
from probes.sched_probe import SchedProbe
from tests.kernel.test_corun import run_together

pytestmark = [pytest.mark.kernel, pytest.mark.machine]


def groups_of(size: int) -> CpuGroups:
    """All CPUs, in groups of so many neighbours."""
    cpus = os.cpu_count() or 0
    return frozenset(frozenset(range(first, first + size)) for first in range(0, cpus, size))


@pytest.fixture(scope="module")
def probe() -> Iterator[SchedProbe]:
    with ebpf.open_probe(detect_layout()) as opened:
        yield opened


def test_who_shares_a_core_a_cache_a_socket_and_a_node() -> None:
    topology = read_topology()
    assert topology.online == frozenset(range(8))
    assert topology.cores == groups_of(2)
    assert topology.llc == topology.packages == topology.nodes == groups_of(4)


def test_a_report_names_the_host_so() -> None:
    assert describe_host(detect_layout()).topology == "2 sockets, 4 cores, 8 threads, 2 NUMA nodes"


@pytest.mark.parametrize("cpus", [(6, 7), (2, 3)], ids=str)
def test_two_busy_threads_of_a_core_ran_on_siblings(probe: SchedProbe, cpus: tuple[int, int]) -> None:
    mount = detect_layout().v2_mount
    assert mount is not None
    found = run_together(mount, cpus, probe)
    assert found.corun is not None
    assert found.at_least_ns > found.slack_ns
    assert found.is_about(found.corun.smt_ns)
    assert found.is_about(found.corun.llc_ns)


@pytest.mark.parametrize("cpus", [(4, 6), (1, 2)], ids=str)
def test_two_busy_cores_of_a_socket_shared_its_cache_alone(probe: SchedProbe, cpus: tuple[int, int]) -> None:
    mount = detect_layout().v2_mount
    assert mount is not None
    found = run_together(mount, cpus, probe)
    assert found.corun is not None
    assert found.at_least_ns > found.slack_ns
    assert found.corun.smt_ns < found.slack_ns
    assert found.is_about(found.corun.llc_ns)


@pytest.mark.parametrize("cpus", [(3, 4), (0, 7)], ids=str)
def test_two_busy_sockets_shared_nothing(probe: SchedProbe, cpus: tuple[int, int]) -> None:
    mount = detect_layout().v2_mount
    assert mount is not None
    found = run_together(mount, cpus, probe)
    assert found.at_least_ns > found.slack_ns
    assert found.corun is None or sum(found.corun) < found.slack_ns
