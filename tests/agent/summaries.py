"""A recording's summary to test with."""

from agent.summary import CgroupSummary, RunSummary, WaitBy
from agent.verdict import Host, SelfCost

HOST = Host(
    hostname="node-7",
    kernel="6.1.0-28-cloud-amd64",
    cpus=2,
    topology="1 socket, 2 cores, 1 thread per core, 1 NUMA node",
    cgroup_mode="v2",
    config_hash="3f9a1c0d",
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
            wait_by=(WaitBy("batch.service", 1_900_000_000), WaitBy("kernel", 150_000_000)),
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
            wait_by=(),
        ),
    ),
    self_cost=SelfCost(ns_per_switch=212.4, switches_per_s=5_723.0, cpu_pct=0.12),
    lost_windows=0,
    partial=False,
    warnings=(),
    unavailable={"throttled_ns": "no cpu controller on this hierarchy"},
)
