"""A recording's summary to test with."""

from agent.documents.summary import (
    ByMoment,
    CacheSummary,
    CgroupSummary,
    CorunWith,
    CpuSummary,
    HostSummary,
    Moment,
    RunDetails,
    RunMatrix,
    RunSummary,
    SignalFigures,
    WaitBy,
    WaitedFor,
    Waiting,
    Waits,
    WaitsByMoment,
    WorkloadSummary,
)
from agent.documents.verdict import SelfCost
from agent.documents.verdict_parts import Host
from collectors.windows.signals import Absence

HOST = Host(
    hostname="node-7",
    kernel="6.1.0-28-cloud-amd64",
    cpus=2,
    topology="1 socket, 2 cores, 1 thread per core, 1 NUMA node",
    cgroup_mode="v2",
    config_hash="3f9a1c0d",
)
SIGNALS: SignalFigures = {
    "nr_periods": 100,
    "nr_throttled": 61,
    "throttled_own_ns": 3_100_000_000,
    "throttled_ancestors_ns": 90_000_000,
    "throttled_any_ns": 3_170_000_000,
    "cpu_some_ns": 2_050_000_000,
    "cpu_full_ns": 1_900_000_000,
    "memory_some_ns": 1_000_000,
    "memory_full_ns": 0,
    "io_some_ns": 12_000_000,
    "io_full_ns": 9_000_000,
    "file_refaults": 120,
    "anon_refaults": 0,
    "scanned_pages": 4_000,
    "reclaimed_pages": 3_500,
    "direct_scans": 640,
    "major_faults": 12,
    "memory_high_events": 0,
    "memory_max_events": 2,
    "oom_kills": 0,
    "read_bytes": 51_380_224,
    "written_bytes": 2_097_152,
    "reads": 98,
    "writes": 4,
    "instructions": 9_600_000_000,
    "cycles": 12_000_000_000,
    "ipc": 0.8,
    "llc_misses": 2.125,
    "dtlb_misses": None,
    "itlb_misses": None,
    "branch_misses": 5.5,
    "running_ratio": 0.95,
}
DETAILS = RunDetails(
    edges_ns=(256.0, 512.0, 1024.0, 4_194_304.0, None),
    by_length=(Waits("web.service", (0, 20, 41, 380, 2)), Waits("batch.service", (0, 12, 0, 37, 0))),
    moments=(Moment(0.0, 1.0), Moment(1.0, 2.0), Moment(5.0, 6.5)),
    over_time=(
        Waiting("web.service", (0.125, 0.25, 0.375)),
        Waiting("batch.service", (0.0, 0.0625, 0.03125)),
    ),
    matrix=RunMatrix(
        ("web.service", "batch.service"),
        ("web.service", "batch.service", "kernel", "everyone else"),
        ((1_250_000, 1_900_000_000, 150_000_000, 48_750_000), (640_000_000, 0, 0, 0)),
    ),
)
BY_MOMENT = ByMoment(
    DETAILS.moments,
    (
        WaitsByMoment(
            "web.service",
            (0.125, 0.25, 0.375),
            (
                WaitedFor("batch.service", (400_000_000, 500_000_000, 1_000_000_000)),
                WaitedFor("kernel", (0, 150_000_000, 0)),
                WaitedFor("its own threads", (0, 1_250_000, 0)),
            ),
        ),
        WaitsByMoment(
            "batch.service", (0.0, 0.0625, 0.03125), (WaitedFor("web.service", (0, 0, 640_000_000)),)
        ),
    ),
)
SUMMARY = RunSummary(
    duration_s=10.0,
    host=HOST,
    tier="ebpf",
    cgroups=(
        CgroupSummary(
            path="/system.slice/web.service",
            name="web.service",
            run_ns=4_812_000_000,
            wait_ns=2_100_000_000,
            wait_p50_ns=12_500.0,
            wait_p99_ns=7_900_000.0,
            switches=48_213,
            involuntary_foreign=1_204,
            involuntary_own=31,
            throttled_ns=None,
            mean_waiting=0.21,
            mean_running=0.4812,
            sampled_ns=259_000_000,
            wait_by=(WaitBy("batch.service", 1_900_000_000), WaitBy("kernel", 150_000_000)),
            limit_cpus=0.5,
            signals=SIGNALS,
            devices={
                "disk_ns": 820_000_000,
                "disk_behind_ns": 610_000_000,
                "network_ns": 0,
                "network_behind_ns": 0,
                "network_dropped": 0,
                "tcp_retransmits": 0,
                "reclaimed_for_pages": 2_400,
            },
            corun_with=(CorunWith("/system.slice/batch.service", 0, 2_310_000_000),),
            workload=WorkloadSummary("unit", unit="web.service"),
        ),
        CgroupSummary(
            path="/system.slice/batch.service",
            name="batch.service",
            run_ns=13_020_000_000,
            wait_ns=640_000_000,
            wait_p50_ns=910.0,
            wait_p99_ns=2_050_000.0,
            switches=9_020,
            involuntary_foreign=803,
            involuntary_own=1_988,
            throttled_ns=None,
            mean_waiting=0.064,
            mean_running=1.302,
            sampled_ns=0,
            wait_by=(),
            signals={
                **SIGNALS,
                **dict.fromkeys(
                    ("nr_periods", "nr_throttled", "throttled_own_ns", "throttled_ancestors_ns"), 0
                ),
            },
            workload=WorkloadSummary(
                "container",
                runtime="containerd",
                container_id="a1b2c3d4" * 8,
                container="app",
                pod="batch-7f",
                pod_uid="1b2c3d4e-5f60-4718-92a3-b4c5d6e7f801",
                namespace="prod",
                qos_class="burstable",
            ),
        ),
    ),
    self_cost=SelfCost(
        ns_per_switch=212.4, switches_per_s=5_723.0, cpu_pct=0.12, counters_ns_per_switch=46.3
    ),
    lost_windows=0,
    partial=False,
    warnings=(),
    unavailable={
        "throttled_ns": "no cpu controller on this hierarchy",
        "signals.dtlb_misses": "this CPU's PMU does not count it",
        "signals.itlb_misses": "this CPU's PMU does not count it",
        "cpu.frequency_mhz": "the kernel has no cpufreq driver",
    },
    host_signals=HostSummary(
        cpus=(CpuSummary(0, 12_000_000, 0, 31_000_000, None), CpuSummary(1, 0, 0, 2_000_000, None)),
        pressure={"cpu_some_ns": 2_400_000_000, "io_some_ns": 12_000_000},
        caches=(CacheSummary("/batch", 0, 8_060_928.5, 4_096_000_000, 4_000_000_000),),
    ),
    missing={
        "io_some_ns": Absence("/sys/fs/cgroup/x/io.pressure vanished while it was read", 3),
        "counters.dTLB-load-misses": Absence("this CPU's PMU does not count it", 20),
        "counters.iTLB-load-misses": Absence("this CPU's PMU does not count it", 20),
        "cpu.frequency_khz": Absence("the kernel has no cpufreq driver", 20, "load one"),
    },
    details=DETAILS,
    since="2026-05-28T20:26:15+00:00",
    until="2026-05-28T20:26:25+00:00",
)
