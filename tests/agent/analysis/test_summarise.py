"""From windows to the summary of a recording."""

from dataclasses import replace
from math import inf

import pytest

from agent.analysis.summarise import summarise
from agent.documents.summary import CpuSummary, RunSummary
from agent.documents.verdict import SelfCost
from agent.store.run_file import Notes, Run, pack
from collectors.host.workloads import identify
from collectors.windows.disks import DiskUse
from collectors.windows.figures import CgroupSignals, CpuSignals
from collectors.windows.network import QueueUse
from collectors.windows.sched import CgroupWindow
from collectors.windows.signals import Absence, HostSignals, SignalWindow
from probes.errors import UsageError
from probes.perf_event import Reading
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, cgroup, window
from tests.collectors.tree import SYSTEMD


def run(*cgroups: CgroupWindow, windows: int = 2, partial: bool = False, **meta: str) -> Run:
    return Run({"host": pack(HOST), **meta}, (window(*cgroups),) * windows, partial)


def test_times_add_up_and_the_longest_wait_comes_first() -> None:
    summary = summarise(
        run(cgroup(0.5, path="/a/quiet"), cgroup(0.2, {NEIGHBOUR: 0.3, OTHER: 0.1}, path="/b"))
    )
    assert summary.duration_s == 2.0
    assert [each.name for each in summary.cgroups] == ["b", "quiet"]
    first = summary.cgroups[0]
    assert (first.run_ns, first.wait_ns) == (400_000_000, 800_000_000)
    assert (first.mean_running, first.mean_waiting) == pytest.approx((0.2, 0.4))
    assert [wait.name for wait in first.wait_by] == [NEIGHBOUR, "cron.service"]
    assert [wait.cgroup for wait in first.wait_by] == [NEIGHBOUR, OTHER]


def test_what_throttled_tasks_waited_is_no_queue() -> None:
    assert summarise(run(cgroup(0.5, throttled_s=0.5))).cgroups[0].mean_waiting == 0


def test_what_is_unavailable_has_a_reason() -> None:
    summary = summarise(run(cgroup(1.0)))
    assert summary.cgroups[0].wait_p99_ns is None
    assert summary.unavailable.keys() >= {"wait_p99_ns", "self_cost.cpu_pct"}


def test_the_cost_and_the_warnings_are_those_that_were_written_down() -> None:
    cost = SelfCost(200.0, 1000.0, 0.1)
    summary = summarise(run(cgroup(1.0), self_cost=pack(cost), notes=pack(Notes(("blame was left out",)))))
    assert summary.self_cost == cost
    assert summary.warnings == ("blame was left out",)


@pytest.mark.parametrize("windows", [0, 1])
def test_an_empty_recording_says_why(windows: int) -> None:
    assert summarise(run(windows=windows)).warnings == ("nothing was recorded",)
    assert "no cgroup that ran matches /x*, y" in summarise(run(windows=windows, globs="/x*, y")).warnings[0]


FIGURES = dict.fromkeys(CgroupSignals._fields[1:], 1)
POD = SYSTEMD["burstable"]


def signals(limit_cpus: float | None = inf, cycles: int = 0, **figures: int | None) -> SignalWindow:
    """One window of the pod; an absence for each None."""
    counts = {name: Reading(cycles, 5, 5) for name in ("cycles", "instructions")} if cycles else {}
    return SignalWindow(
        cgroups={POD: CgroupSignals(limit_cpus, **{**FIGURES, **figures})},
        host=HostSignals({0: CpuSignals(3, None, 1, 1_000_000)}, {"io_some_ns": 7}),
        names={POD: identify(POD)},
        counters={POD: counts},
        missing={
            "cpu.irq_ns": Absence("not accounted for", 1),
            **{
                name: Absence(f"{name} is gone", 1, "fix it")
                for name, value in figures.items()
                if value is None
            },
        },
    )


def recorded_signals(*windows: SignalWindow) -> RunSummary:
    run_windows = tuple(replace(window(cgroup(1.0, path=POD)), signals=each) for each in windows)
    return summarise(Run({"host": pack(HOST)}, run_windows, partial=False))


def test_signals_add_up_over_the_windows_that_have_them() -> None:
    summary = recorded_signals(signals(reads=5), signals(reads=None), signals(0.5, reads=7, writes=None))
    (found,) = summary.cgroups
    assert found.signals is not None
    assert tuple(found.signals[name] for name in ("reads", "writes", "major_faults")) == (12, 2, 3)
    assert found.limit_cpus == 0.5  # as it was at the end
    assert summary.missing["reads"] == Absence("reads is gone", 1, "fix it")
    assert "signals.reads" not in summary.unavailable


def test_a_figure_that_no_window_has_says_why() -> None:
    summary = recorded_signals(signals(None, reads=None), signals(None, reads=None))
    (found,) = summary.cgroups
    assert found.signals is not None
    assert (found.signals["reads"], found.limit_cpus) == (None, None)
    assert summary.unavailable["signals.reads"] == "reads is gone"
    assert summary.unavailable["cpu.irq_ns"] == "not accounted for"
    assert "limit_cpus" in summary.unavailable


def test_ratios_of_counters_are_those_of_their_sums() -> None:
    first = replace(
        signals(), counters={POD: {"cycles": Reading(100, 1, 1), "instructions": Reading(300, 1, 1)}}
    )
    (found,) = recorded_signals(first, signals(cycles=900)).cgroups
    assert found.signals is not None
    assert found.signals["ipc"] == 1200 / 1000
    assert found.signals["llc_misses"] is None


def test_without_a_pmu_the_reason_is_the_refusal() -> None:
    refused = replace(signals(), missing={"counters.cycles": Absence("no hardware PMU", 1)})
    summary = recorded_signals(refused)
    assert summary.unavailable["signals.cycles"] == "no hardware PMU"


def test_the_host_is_summed_as_well() -> None:
    host = recorded_signals(signals(), signals()).host_signals
    assert host is not None
    assert host.cpus == (CpuSummary(0, 6, None, 2, 1000.0),)
    assert host.pressure == {"io_some_ns": 14}


def test_a_cgroup_has_the_name_of_its_workload() -> None:
    (found,) = recorded_signals(signals()).cgroups
    assert found.name.startswith("containerd a1b2c3d4")
    assert found.workload is not None
    assert (found.workload.kind, found.workload.qos_class) == ("container", "burstable")


def test_a_recording_without_signals_has_none() -> None:
    summary = summarise(run(cgroup(1.0)))
    assert (summary.cgroups[0].signals, summary.host_signals, summary.missing) == (None, None, {})


def test_a_recording_without_a_host_is_damaged() -> None:
    with pytest.raises(UsageError, match="host"):
        summarise(Run({}, (), partial=False))


def test_what_pressure_does_not_tell_is_no_zero() -> None:
    run = Run(
        meta={"host": pack(HOST), "tier": "psi"},
        windows=(window(cgroup(1.0, unattributed_s=0.5)),),
        partial=False,
    )
    summary = summarise(run)
    (found,) = summary.cgroups
    assert (found.switches, found.involuntary_foreign, found.involuntary_own, found.throttled_ns) == (
        None,
    ) * 4
    assert {
        "switches",
        "involuntary_foreign",
        "involuntary_own",
        "throttled_ns",
    } <= summary.unavailable.keys()
    assert any("pressure (PSI) alone" in warning for warning in summary.warnings)
    assert summary.unavailable["self_cost.ns_per_switch"] == "no BPF program was attached"


def test_what_a_cgroup_had_of_disks_queues_and_reclaims_is_its_own_over_all_windows() -> None:
    seen = replace(
        window(cgroup(0.5, path="/a"), cgroup(0.5, path="/b")),
        disks={"vda": {"/a": DiskUse(reads=2, queue_ns=5, service_ns=3, waited_for={"/b": 4})}},
        network={"eth0": {"/a/below": QueueUse(packets=1, queue_ns=9)}},
    )
    found = {
        each.path: each.devices
        for each in summarise(Run({"host": pack(HOST)}, (seen, seen), partial=False)).cgroups
    }
    assert found["/b"] is None
    assert found["/a"] is not None
    assert {name: amount for name, amount in found["/a"].items() if amount} == {
        "disk_ns": 16,
        "disk_behind_ns": 8,
    }
