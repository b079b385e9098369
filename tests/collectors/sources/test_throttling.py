from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing
from collectors.sources.cgroup_files import NO_CGROUP, CgroupReader, CgroupReading
from collectors.sources.signal_reader import NEVER_READ, signals_within
from collectors.sources.throttling import NO_CONTROLLER, tightest
from tests.collectors.tree import (
    BURSTABLE,
    BURSTABLE_,
    CGROUPFS,
    SYSTEMD,
    figures,
    grown,
    lay_out,
    noted,
    reading,
    recorded,
    recorded_window,
)

V2_POD = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{BURSTABLE_}.slice"
V1_POD = f"/kubepods/burstable/pod{BURSTABLE}"
V2_CPU = "sys/fs/cgroup"
V1_CPU = "sys/fs/cgroup/cpu,cpuacct"


def on_v2(root: Path, **files: str) -> CgroupReading:
    """One cgroup /a on v2; `cpu_max="50000 100000"` writes cpu.max, and so on."""
    mount = root / "sys/fs/cgroup"
    (mount / "a").mkdir(parents=True)
    (mount / "cpu.stat").write_text("usage_usec 1\n")
    for name, content in {"cpu_stat": "usage_usec 1\n", **files}.items():
        (mount / "a" / name.replace("_", ".", 1)).write_text(content)
    return read(CgroupLayout("v2", mount, {}, "v2", None))


def on_v1(root: Path, quota: str, period: str) -> CgroupReading:
    lay_out(root, f"=== cpu/a/cpu.cfs_quota_us\n{quota}=== cpu/a/cpu.cfs_period_us\n{period}")
    lay_out(root, "=== cpu/cpu.cfs_quota_us\n-1\n=== cpu/cpu.cfs_period_us\n100000\n")
    return read(CgroupLayout("v1", None, {"cpu": root / "cpu"}, "v1", 1))


def read(layout: CgroupLayout) -> CgroupReading:
    return CgroupReader(layout).read(["/a"])["/a"]


@pytest.mark.parametrize(
    ("tree", "path", "limit_cpus"),
    [
        ("v2-after", SYSTEMD["burstable"], 0.5),  # of its pod
        ("v2-after", SYSTEMD["docker"], 0.2),  # its own
        ("v2-after", SYSTEMD["service"], inf),
        ("v2-after", "/", inf),
        ("v1-after", CGROUPFS["burstable"], 0.5),
        ("hybrid", CGROUPFS["docker"], 0.2),
        ("hybrid", "/", inf),
    ],
)
def test_the_tightest_limit_binds_whosever_it_is(
    tmp_path: Path, tree: str, path: str, limit_cpus: float
) -> None:
    assert figures(recorded(tmp_path, tree), path).limit_cpus == limit_cpus


def test_throttling_by_an_ancestor_is_told_from_ones_own_on_v2(tmp_path: Path) -> None:
    change = recorded_window(tmp_path, "v2", SYSTEMD["burstable"]).cgroups[SYSTEMD["burstable"]]
    by_pod_us = grown("v2", f"{V2_CPU}{V2_POD}/cpu.stat", r"^throttled_usec (\d+)$")
    assert (change.nr_periods, change.nr_throttled, change.throttled_own_ns) == (0, 0, 0)
    assert change.throttled_ancestors_ns == by_pod_us * 1000
    assert change.throttled_any_ns == by_pod_us * 1000  # from cpu.stat.local


def test_throttling_by_an_ancestor_is_told_from_ones_own_on_v1(tmp_path: Path) -> None:
    window = recorded_window(tmp_path, "v1", CGROUPFS["burstable"])
    change = window.cgroups[CGROUPFS["burstable"]]
    assert change.throttled_own_ns == 0
    assert change.throttled_ancestors_ns == grown(
        "v1", f"{V1_CPU}{V1_POD}/cpu.stat", r"^throttled_time (\d+)$"
    )
    # The file that 6.1 does not have.
    assert change.throttled_any_ns is None
    assert "cpu.stat.local does not exist" in window.missing["throttled_any_ns"].reason


def test_a_container_with_its_own_limit(tmp_path: Path) -> None:
    change = recorded_window(tmp_path, "v2", SYSTEMD["docker"]).cgroups[SYSTEMD["docker"]]
    stat = f"{V2_CPU}{SYSTEMD['docker']}/cpu.stat"
    assert change.nr_periods == grown("v2", stat, r"^nr_periods (\d+)$")
    assert change.nr_throttled == grown("v2", stat, r"^nr_throttled (\d+)$")
    assert change.throttled_own_ns == grown("v2", stat, r"^throttled_usec (\d+)$") * 1000
    assert change.throttled_own_ns > 1_000_000_000  # 0.2 CPU of a busy loop for two seconds
    assert change.throttled_ancestors_ns == 0


def test_hybrid_reads_the_limit_where_the_controller_is(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "hybrid"), CGROUPFS["docker"])
    path = f"{V1_CPU}{CGROUPFS['docker']}/cpu.stat"
    assert found.throttled_own_ns == noted("hybrid", path, r"^throttled_time (\d+)$")


def test_no_hierarchy_with_the_controller(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== proc/self/mountinfo\n1 1 0:1 / /cg rw - cgroup2 none rw\n")
    assert figures(tmp_path, "/")[:6] == (NO_CONTROLLER,) * 6


@pytest.mark.parametrize(("tree", "names"), [("v1-after", CGROUPFS), ("v2-after", SYSTEMD)])
def test_a_vanished_cgroup_is_missing(tmp_path: Path, tree: str, names: dict[str, str]) -> None:
    found = figures(recorded(tmp_path, tree), names["burstable"] + "/gone")
    for figure in (found.limit_cpus, found.nr_periods, found.throttled_own_ns, found.throttled_any_ns):
        assert figure is NO_CGROUP


def test_a_cgroup_without_the_controller_cannot_be_throttled_by_itself(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    child = f"{SYSTEMD['docker']}/init"
    lay_out(tmp_path, f"=== sys/fs/cgroup{child}/cpu.stat\nusage_usec 1\n")
    found = figures(tmp_path, child)
    own = (found.nr_periods, found.nr_throttled, found.throttled_own_ns)
    assert (found.limit_cpus, own) == (0.2, (0, 0, 0))
    assert found.throttled_ancestors_ns == figures(tmp_path, SYSTEMD["docker"]).throttled_own_ns


@given(quota=st.integers(1, 2**40), period=st.integers(1, 10**6))
def test_cpu_max_is_quota_then_period(
    tmp_path_factory: pytest.TempPathFactory, quota: int, period: int
) -> None:
    found = on_v2(tmp_path_factory.mktemp("root"), cpu_max=f"{quota} {period}\n")
    assert found.limit_cpus == quota / period


@pytest.mark.parametrize(
    "text", ["", "\n", "max\n", "100000\n", "0 100000\n", "5 0\n", "-1 100000\n", "a b\n", "1 2 3\n", "\0\n"]
)
def test_a_nonsense_cpu_max_is_missing(tmp_path: Path, text: str) -> None:
    assert isinstance(on_v2(tmp_path, cpu_max=text).limit_cpus, Missing)


def test_a_limit_that_is_unknown_might_be_the_tightest() -> None:
    unknown = Missing("unreadable")
    assert tightest([0.5, unknown, inf]) is unknown
    assert tightest([inf, 2.0, 0.5]) == 0.5
    assert tightest([]) == inf


@pytest.mark.parametrize(
    ("quota", "period", "limit"),
    [("-1\n", "100000\n", inf), ("50000\n", "100000\n", 0.5), ("400000\n", "100000\n", 4.0)],
)
def test_v1_limits(tmp_path: Path, quota: str, period: str, limit: float) -> None:
    assert on_v1(tmp_path, quota, period).limit_cpus == limit


@pytest.mark.parametrize(
    ("quota", "period"), [("-2\n", "1\n"), ("0\n", "1\n"), ("x\n", "1\n"), ("5\n", "0\n"), ("5\n", "")]
)
def test_nonsense_v1_limits_are_missing(tmp_path: Path, quota: str, period: str) -> None:
    assert isinstance(on_v1(tmp_path, quota, period).limit_cpus, Missing)


def test_a_truncated_stat_is_missing_field_by_field(tmp_path: Path) -> None:
    found = on_v2(tmp_path, cpu_max="max 100000\n", cpu_stat="nr_periods 5\nnr_throttled -1\nthrottled_us")
    assert found.nr_periods == 5
    assert isinstance(found.nr_throttled, Missing)
    assert isinstance(found.throttled_own_ns, Missing)


def test_a_counter_that_went_backwards_is_missing_for_the_window(tmp_path: Path) -> None:
    path = SYSTEMD["docker"]
    later, earlier = (reading(recorded(tmp_path / when, f"v2-{when}"), path) for when in ("after", "before"))
    window = signals_within(later, earlier)
    assert window.cgroups[path].throttled_own_ns is None
    assert "went back" in window.missing["throttled_own_ns"].reason
    assert window.cgroups[path].throttled_ancestors_ns == 0


def test_what_was_not_read_before_is_missing(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    window = signals_within(reading(tmp_path, "/"), reading(tmp_path, SYSTEMD["docker"]))
    assert list(window.cgroups) == [SYSTEMD["docker"]]
    assert window.cgroups[SYSTEMD["docker"]].throttled_own_ns is None
    assert window.missing["throttled_own_ns"].reason == NEVER_READ.reason
    assert window.cgroups[SYSTEMD["docker"]].limit_cpus == 0.2


def test_the_local_file_of_v1_is_in_nanoseconds(tmp_path: Path) -> None:
    found = on_v2(tmp_path, **{"cpu_stat.local": "throttled_time 839903622\n"})
    assert found.throttled_any_ns == 839903622
