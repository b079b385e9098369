"""Windows get their signals: what a cgroup's figures grew by since it was last read, its name, its counters."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources.cgroup_files import NO_CGROUP, CgroupReader
from collectors.sources.gatherer import SignalGatherer
from collectors.sources.signal_reader import NEVER_READ, SignalReader
from collectors.windows.corun import Corun
from collectors.windows.figures import CgroupSignals
from collectors.windows.sched import SchedWindow
from collectors.windows.signals import Absence, SignalWindow
from probes.perf_event import NO_PMU, Reading
from probes.snapshot import Ring, Snapshot
from tests.agent.analysis.trials import NS, cgroup, window
from tests.collectors.tree import BURSTABLE, SYSTEMD, recorded

DOCKER, BURSTABLE_POD = SYSTEMD["docker"], SYSTEMD["burstable"]
STAT = f"sys/fs/cgroup{DOCKER}/cpu.stat"


def snapshot(*paths: str, cycles: int = 0) -> Snapshot:
    counters = {
        key: {"cycles": Reading(cycles, cycles, cycles)} if cycles else {} for key in range(len(paths))
    }
    return Snapshot(0, {}, {}, (), dict(enumerate(paths)), 0, counters=counters, uncounted={"cycles": NO_PMU})


def ran(*paths: str) -> SchedWindow:
    return window(*(cgroup(1.0, path=path) for path in paths))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return recorded(tmp_path, "v2-after")


@pytest.fixture
def gatherer(root: Path) -> Iterator[SignalGatherer]:
    with SignalGatherer(detect_layout(root), root) as made:
        yield made


def signals(complete: SchedWindow) -> SignalWindow:
    assert complete.signals is not None
    return complete.signals


def throttle(root: Path, more_us: int) -> None:
    lines = dict(line.split() for line in (root / STAT).read_text().splitlines())
    lines["throttled_usec"] = str(int(lines["throttled_usec"]) + more_us)
    (root / STAT).write_text("".join(f"{key} {value}\n" for key, value in lines.items()))


def test_figures_grow_from_window_to_window(root: Path, gatherer: SignalGatherer) -> None:
    there = snapshot(DOCKER)
    gatherer.begin()
    grown = []
    for more_us in (5, 0, 7):
        throttle(root, more_us)
        found = signals(gatherer.complete(ran(DOCKER), there, there)).cgroups[DOCKER]
        grown.append((found.throttled_own_ns, found.limit_cpus))
    assert grown == [(5000, 0.2), (0, 0.2), (7000, 0.2)]


def test_nothing_is_lost_of_what_happens_while_an_idle_cgroup_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of 10 s on a host where nothing stalls."""
    clock = iter(range(10**10, 10**13, 10**10))
    monkeypatch.setattr("collectors.sources.signal_reader.monotonic_ns", lambda: next(clock))
    there, idle = snapshot(DOCKER), window(cgroup(0.05, path=DOCKER), duration_s=10.0)
    layout = detect_layout(root)
    reader = SignalReader(layout, root, CgroupReader(layout, most_skipped=2))
    with SignalGatherer(layout, root, reader) as gatherer:
        gatherer.begin()
        found = []
        for more_us in range(1, 31):
            throttle(root, more_us)
            figures = signals(gatherer.complete(idle, there, there)).cgroups.get(DOCKER)
            found.append(None if figures is None else figures.throttled_own_ns)
    read = [number for number, grown in enumerate(found) if grown is not None]
    assert len(read) < len(found) / 2
    known_ns = sum(grown or 0 for grown in found)
    assert known_ns == 1000 * sum(range(1, read[-1] + 2))


def test_what_happened_while_it_did_not_run_is_in_its_next_window(
    root: Path, gatherer: SignalGatherer
) -> None:
    there = snapshot(DOCKER)
    gatherer.begin()
    throttle(root, 3)
    assert signals(gatherer.complete(ran(), there, there)).cgroups == {}
    assert signals(gatherer.complete(ran(DOCKER), there, there)).cgroups[DOCKER].throttled_own_ns == 3000


def test_a_cgroup_made_within_the_window_counts_from_0(root: Path, gatherer: SignalGatherer) -> None:
    gatherer.begin(lambda path: path != DOCKER)
    found = signals(gatherer.complete(ran(DOCKER), snapshot("/"), snapshot("/", DOCKER))).cgroups[DOCKER]
    total_us = dict(line.split() for line in (root / STAT).read_text().splitlines())["throttled_usec"]
    assert found.throttled_own_ns == int(total_us) * 1000 > 0


def test_one_that_was_there_but_not_read_is_missing_once(gatherer: SignalGatherer) -> None:
    there = snapshot(DOCKER)
    gatherer.begin(lambda path: path != DOCKER)
    first, second = (signals(gatherer.complete(ran(DOCKER), there, there)) for _ in range(2))
    assert first.cgroups[DOCKER].throttled_own_ns is None
    assert first.missing["throttled_own_ns"].reason == NEVER_READ.reason
    assert second.cgroups[DOCKER].throttled_own_ns == 0


def test_one_that_vanished_is_missing_and_counted(root: Path, gatherer: SignalGatherer) -> None:
    gatherer.begin()
    for file in (root / f"sys/fs/cgroup{DOCKER}").iterdir():
        file.unlink()
    found = signals(gatherer.complete(ran(DOCKER, BURSTABLE_POD), snapshot(DOCKER), snapshot()))
    assert found.cgroups[DOCKER].throttled_own_ns is None
    assert found.cgroups[BURSTABLE_POD].throttled_own_ns == 0
    assert found.missing["throttled_own_ns"].figures == 1
    assert "does not exist" in found.missing["throttled_own_ns"].reason


def test_one_that_is_known_to_be_gone_is_not_looked_for(root: Path, gatherer: SignalGatherer) -> None:
    """Its directory is still there, as that of a new cgroup of its name would be."""
    gatherer.begin()
    both = snapshot(DOCKER, BURSTABLE_POD)
    found = signals(
        gatherer.complete(ran(DOCKER, BURSTABLE_POD), both, replace(both, removed=frozenset({0})))
    )
    assert found.cgroups[DOCKER] == (None,) * len(CgroupSignals._fields)
    assert found.missing["limit_cpus"] == Absence(NO_CGROUP.reason, 1, NO_CGROUP.remedy)
    assert found.cgroups[BURSTABLE_POD].throttled_own_ns == 0
    again = replace(snapshot(DOCKER, DOCKER), removed=frozenset({0}))
    throttle(root, 5)
    assert signals(gatherer.complete(ran(DOCKER), both, again)).cgroups[DOCKER].limit_cpus == 0.2


def test_a_dead_cgroup_is_forgotten(gatherer: SignalGatherer) -> None:
    gatherer.begin()
    for number in range(100):
        path = f"/pod{number}"
        gatherer.complete(ran(path), snapshot("/"), snapshot("/", path))
    assert len(gatherer._figures) <= 2
    assert len(gatherer._names) <= 2


def test_a_kubernetes_cgroup_reports_pod_namespace_container_and_qos(gatherer: SignalGatherer) -> None:
    there = snapshot(BURSTABLE_POD)
    named = signals(gatherer.complete(ran(BURSTABLE_POD), there, there)).names[BURSTABLE_POD]
    assert (named.kind, named.runtime, named.pod_uid, named.qos_class) == (
        "container",
        "containerd",
        BURSTABLE,
        "burstable",
    )


def test_kernel_threads_have_no_files_and_no_name(gatherer: SignalGatherer) -> None:
    there = snapshot("kernel")
    found = signals(gatherer.complete(ran("kernel", "other"), there, there))
    assert (found.cgroups, found.names) == ({}, {})


def test_counters_are_those_of_the_window_and_refusals_are_said(gatherer: SignalGatherer) -> None:
    found = signals(
        gatherer.complete(ran(DOCKER), snapshot(DOCKER, "/b", cycles=5), snapshot(DOCKER, "/b", cycles=9))
    )
    assert found.counters == {DOCKER: {"cycles": Reading(4, 4, 4)}}
    assert found.missing["counters.cycles"].reason == NO_PMU.reason


def test_who_ran_beside_whom_is_told_by_path(root: Path) -> None:
    for cpu in (0, 1):
        cache = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index3"
        cache.mkdir(parents=True)
        (cache / "level").write_text("3\n")
        (cache / "shared_cpu_list").write_text("0-1\n")
    (root / "sys/devices/system/cpu/online").write_text("0-1\n")
    rings = (Ring(NS, ((0, 0),)), Ring(NS, ((0, 1),)))
    there = replace(snapshot(DOCKER, BURSTABLE_POD), rings=rings)
    with SignalGatherer(detect_layout(root), root) as gatherer:
        found = signals(gatherer.complete(ran(DOCKER), there, there)).coruns
    assert found == {DOCKER: {BURSTABLE_POD: Corun(0, NS)}}


def test_the_window_itself_stays_as_it_was(gatherer: SignalGatherer) -> None:
    before = ran(DOCKER)
    after = gatherer.complete(before, snapshot(DOCKER), snapshot(DOCKER))
    assert replace(after, signals=None) == before
