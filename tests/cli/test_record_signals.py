"""`jostle record` beside the kernel's own figures: a quota, names, and what this host cannot count."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.documents.summary import CgroupSummary, RunSummary
from agent.store.run_file import read_run
from collectors.host.hierarchy import CgroupLayout, detect_layout
from probes.perf_event import CYCLES, available
from tests.cli.running import run

pytestmark = pytest.mark.kernel

TOLERANCE = 0.03
# Joins the cgroup that is its first argument (a directory per hierarchy) and keeps one CPU busy.
LOOP = """
import os, sys, time
for directory in sys.argv[2:]:
    open(f"{directory}/cgroup.procs", "w").write(str(os.getpid()))
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end: pass
"""


@pytest.fixture
def limited() -> Iterator[list[Path]]:
    """A cgroup with a quota of half a CPU in periods of 100 ms, and far more weight than its siblings."""
    layout = detect_layout()
    mounts = [mount for mount in (layout.v2_mount, layout.v1_mounts.get("cpu")) if mount is not None]
    directories = [mount / f"jostle-test-limited-{os.getpid()}" for mount in mounts]
    for directory in directories:
        directory.mkdir()
    limit(layout, directories[-1])
    yield directories
    for directory in directories:
        directory.rmdir()


def limit(layout: CgroupLayout, directory: Path) -> None:
    if layout.cpu_on == "v1":
        (directory / "cpu.cfs_period_us").write_text("100000")
        (directory / "cpu.cfs_quota_us").write_text("50000")
        (directory / "cpu.shares").write_text("262144")
        return
    if not (directory / "cpu.max").exists():
        pytest.skip("the cpu controller is not enabled for the cgroups below the root")
    (directory / "cpu.max").write_text("50000 100000")
    (directory / "cpu.weight").write_text("10000")


def throttled_ns(directory: Path) -> int:
    stat = dict(line.split() for line in (directory / "cpu.stat").read_text().splitlines())
    return int(stat["throttled_time"]) if "throttled_time" in stat else int(stat["throttled_usec"]) * 1000


def summary_of(directory: Path, *words: str) -> RunSummary:
    ended = run("record", "-o", str(directory / "a.run"), "--json", *words)
    assert ended.code == 0, ended.err
    return RunSummary.from_document(json.loads(ended.out))


def cgroup(summary: RunSummary, path: str) -> CgroupSummary:
    return next(each for each in summary.cgroups if each.path == path)


def test_a_busy_loop_under_a_quota_of_half_a_cpu(tmp_path: Path, limited: list[Path]) -> None:
    loop = [sys.executable, "-c", LOOP, "3", *map(str, limited)]
    before_ns = throttled_ns(limited[-1])
    summary = summary_of(tmp_path, "-i", "0.5", "--", *loop)
    by_kernel_ns = throttled_ns(limited[-1]) - before_ns
    assert by_kernel_ns > 0.3e9, shlex.join(loop)
    found = cgroup(summary, f"/{limited[0].name}")
    assert found.limit_cpus == 0.5
    assert found.signals is not None
    assert found.signals["throttled_own_ns"] == pytest.approx(by_kernel_ns, rel=TOLERANCE)
    assert found.throttled_ns == pytest.approx(by_kernel_ns, rel=TOLERANCE)
    assert found.signals["throttled_ancestors_ns"] == 0


def test_what_this_host_cannot_count_says_why_and_nothing_else_suffers(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, "-d", "0.5")
    refusal = available([CYCLES])[CYCLES]
    assert summary.unavailable.get("signals.cycles") == (refusal.reason if refusal else None)
    assert all(each.run_ns is not None for each in summary.cgroups)
    assert summary.host_signals is not None
    assert summary.host_signals.pressure["cpu_some_ns"] is not None
    assert len(summary.host_signals.cpus) == os.cpu_count()


def test_counters_can_be_left_out(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, "-d", "0.5", "--no-counters")
    assert "not counted" in summary.unavailable["signals.ipc"]


def test_a_kubernetes_shaped_cgroup_is_named(tmp_path: Path) -> None:
    uid, container = "1b2c3d4e-5f60-4718-92a3-b4c5d6e7f801", "a1b2c3d4" * 8
    mount = detect_layout().v2_mount
    assert mount is not None
    top = mount / f"kubepods-test-{os.getpid()}.slice"
    pod = top / f"kubepods-burstable-pod{uid.replace('-', '_')}.slice"
    leaf = pod / f"cri-containerd-{container}.scope"
    leaf.mkdir(parents=True)
    try:
        summary = summary_of(tmp_path, "--", sys.executable, "-c", LOOP, "0.2", str(leaf))
    finally:
        for directory in (leaf, pod, top):
            directory.rmdir()
    found = cgroup(summary, f"/{leaf.relative_to(mount)}").workload
    assert found is not None
    assert (found.kind, found.runtime, found.pod_uid, found.qos_class) == (
        "container",
        "containerd",
        uid,
        "burstable",
    )


def test_disks_and_network_can_be_left_out(tmp_path: Path) -> None:
    write = (
        "import os; f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); os.write(f, bytes(4096)); os.fsync(f)"
    )
    for options, looked_at in (((), True), (("--no-io", "--no-net"), False)):
        file = tmp_path / f"{looked_at}.run"
        words = (sys.executable, "-c", f"import sys; {write}", str(tmp_path / "file"))
        ended = run("record", "-o", str(file), *options, "--", *words)
        assert ended.code == 0, ended.err
        assert any(window.disks for window in read_run(file).windows) is looked_at
