from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hierarchy import CgroupLayout, detect_layout
from collectors.readings import Missing, missing_in
from collectors.throttling import (
    NO_CONTROLLER,
    CpuControl,
    ThrottledWindow,
    Throttling,
    ThrottlingCounters,
    read_throttling,
    throttled_within,
)
from tests.collectors.tree import BURSTABLE, BURSTABLE_, CGROUPFS, SYSTEMD, lay_out, noted, recorded

V2_POD = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{BURSTABLE_}.slice"
V1_POD = f"/kubepods/burstable/pod{BURSTABLE}"
V2_CPU = "sys/fs/cgroup"
V1_CPU = "sys/fs/cgroup/cpu,cpuacct"


def throttling(root: Path, path: str) -> Throttling:
    reading = read_throttling(detect_layout(root), path)
    assert isinstance(reading, Throttling)
    return reading


def window(tmp_path: Path, version: str, path: str) -> ThrottledWindow:
    before, after = (
        throttling(recorded(tmp_path / when, f"{version}-{when}"), path) for when in ("before", "after")
    )
    change = throttled_within(before, after)
    assert isinstance(change, ThrottledWindow)
    return change


def on_v2(root: Path, **files: str) -> Throttling:
    """One cgroup /a on v2; `cpu_max="50000 100000"` writes cpu.max, and so on."""
    cgroup = root / "sys/fs/cgroup/a"
    cgroup.mkdir(parents=True)
    for name, content in files.items():
        (cgroup / name.replace("_", ".", 1)).write_text(content)
    return throttling_at(root / "sys/fs/cgroup", "/a")


def throttling_at(mount: Path, path: str) -> Throttling:
    layout = CgroupLayout(mode="v2", v2_mount=mount, v1_mounts={}, cpu_on="v2", v1_cpu_hierarchy_id=None)
    reading = read_throttling(layout, path)
    assert isinstance(reading, Throttling)
    return reading


def test_a_pod_limit_is_an_ancestors_on_v2(tmp_path: Path) -> None:
    reading = throttling(recorded(tmp_path, "v2-after"), SYSTEMD["burstable"])
    assert [control.path for control in reading.chain] == [
        SYSTEMD["burstable"],
        V2_POD,
        "/kubepods.slice/kubepods-burstable.slice",
        "/kubepods.slice",
    ]
    assert [control.limit_cpus for control in reading.chain] == [None, 0.5, None, None]
    assert reading.limit_cpus == 0.5
    assert reading.tightest is not None
    assert reading.tightest.path == V2_POD
    assert list(missing_in(reading)) == []


def test_a_pod_limit_is_an_ancestors_on_v1(tmp_path: Path) -> None:
    reading = throttling(recorded(tmp_path, "v1-after"), CGROUPFS["burstable"])
    assert [control.path for control in reading.chain] == [
        CGROUPFS["burstable"],
        V1_POD,
        "/kubepods/burstable",
        "/kubepods",
        "/",
    ]
    assert reading.limit_cpus == 0.5
    # The only file that 6.1 does not have.
    assert list(missing_in(reading)) == [reading.with_ancestors_ns]


def test_throttling_by_an_ancestor_is_told_from_ones_own_on_v2(tmp_path: Path) -> None:
    change = window(tmp_path, "v2", SYSTEMD["burstable"])
    periods, throttled, time_us = (
        counted("v2", f"{V2_CPU}{V2_POD}/cpu.stat", key)
        for key in ("nr_periods", "nr_throttled", "throttled_usec")
    )
    only_by(change, V2_POD, ThrottlingCounters(periods, throttled, time_us * 1000))


def test_throttling_by_an_ancestor_is_told_from_ones_own_on_v1(tmp_path: Path) -> None:
    change = window(tmp_path, "v1", CGROUPFS["burstable"])
    periods, throttled, time_ns = (
        counted("v1", f"{V1_CPU}{V1_POD}/cpu.stat", key)
        for key in ("nr_periods", "nr_throttled", "throttled_time")
    )
    only_by(change, V1_POD, ThrottlingCounters(periods, throttled, time_ns))


def counted(version: str, path: str, key: str) -> int:
    before, after = (noted(f"{version}-{when}", path, rf"^{key} (\d+)$") for when in ("before", "after"))
    assert after > before
    return after - before


def only_by(change: ThrottledWindow, culprit: str, counters: ThrottlingCounters) -> None:
    none = ThrottlingCounters(0, 0, 0)
    assert change.own == none
    assert change.ancestors[culprit] == counters
    assert len(change.ancestors) > 1
    assert all(span == none for path, span in change.ancestors.items() if path != culprit)


def test_the_local_file_includes_the_ancestors(tmp_path: Path) -> None:
    change = window(tmp_path, "v2", SYSTEMD["burstable"])
    assert change.with_ancestors_ns == change.ancestors[V2_POD].throttled_ns


def test_a_container_with_its_own_limit(tmp_path: Path) -> None:
    change = window(tmp_path, "v2", SYSTEMD["docker"])
    assert change.own is not None
    assert isinstance(change.own.throttled_ns, int)
    # 0.2 CPU of a busy loop for two seconds leaves most of them throttled.
    assert change.own.throttled_ns > 1_000_000_000
    assert change.with_ancestors_ns == change.own.throttled_ns


def test_hybrid_reads_the_limit_where_the_controller_is(tmp_path: Path) -> None:
    reading = throttling(recorded(tmp_path, "hybrid"), CGROUPFS["docker"])
    assert reading.own is not None
    assert reading.own.limit_cpus == 0.2
    assert reading.own.counters.throttled_ns == noted(
        "hybrid", f"{V1_CPU}{CGROUPFS['docker']}/cpu.stat", r"^throttled_time (\d+)$"
    )


def test_weights_are_relative_to_the_default(tmp_path: Path) -> None:
    v2 = throttling(recorded(tmp_path / "2", "v2-after"), SYSTEMD["besteffort"])
    v1 = throttling(recorded(tmp_path / "1", "v1-after"), CGROUPFS["besteffort"])
    assert [control.weight_ratio for control in v2.chain] == [1, 1, 1 / 100, 1]
    assert [control.weight_ratio for control in v1.chain] == [1, 1, 2 / 1024, 1, 1]
    idle = throttling(tmp_path / "2", SYSTEMD["service"]).own
    assert idle is not None
    assert idle.idle is True


def test_no_hierarchy_with_the_controller(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== proc/self/mountinfo\n1 1 0:1 / /cg rw - cgroup2 none rw\n")
    assert read_throttling(detect_layout(tmp_path), "/") == NO_CONTROLLER


def test_a_vanished_cgroup_is_missing(tmp_path: Path) -> None:
    layout = detect_layout(recorded(tmp_path, "v2-after"))
    gone = read_throttling(layout, "/system.slice/gone.service")
    assert isinstance(gone, Missing)
    here = read_throttling(layout, SYSTEMD["docker"])
    assert throttled_within(here, gone) is gone
    assert throttled_within(gone, here) is gone


def test_a_cgroup_without_the_controller_has_no_limit_of_its_own(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    child = f"{SYSTEMD['docker']}/init"
    (tmp_path / "sys/fs/cgroup" / child[1:]).mkdir()
    reading = throttling(tmp_path, child)
    assert reading.own is None
    assert reading.limit_cpus == 0.2
    change = throttled_within(reading, reading)
    assert isinstance(change, ThrottledWindow)
    assert change.own is None
    assert change.ancestors[SYSTEMD["docker"]] == ThrottlingCounters(0, 0, 0)


@given(quota=st.integers(1, 2**40), period=st.integers(1, 10**6))
def test_cpu_max_is_quota_then_period(
    tmp_path_factory: pytest.TempPathFactory, quota: int, period: int
) -> None:
    reading = on_v2(tmp_path_factory.mktemp("root"), cpu_max=f"{quota} {period}\n")
    assert reading.limit_cpus == quota / period


@pytest.mark.parametrize(
    "text", ["", "\n", "max\n", "100000\n", "0 100000\n", "5 0\n", "-1 100000\n", "a b\n", "1 2 3\n", "\0\n"]
)
def test_a_nonsense_cpu_max_is_missing_and_makes_the_tightest_unknown(tmp_path: Path, text: str) -> None:
    reading = on_v2(tmp_path, cpu_max=text)
    assert reading.own is not None
    assert isinstance(reading.own.limit_cpus, Missing)
    assert isinstance(reading.limit_cpus, Missing)
    assert reading.tightest is None


@pytest.mark.parametrize(
    ("quota", "period", "limit"),
    [("-1\n", "100000\n", None), ("50000\n", "100000\n", 0.5), ("400000\n", "100000\n", 4.0)],
)
def test_v1_limits(tmp_path: Path, quota: str, period: str, limit: float | None) -> None:
    assert v1_control(tmp_path, quota, period).limit_cpus == limit


@pytest.mark.parametrize(
    ("quota", "period"), [("-2\n", "1\n"), ("0\n", "1\n"), ("x\n", "1\n"), ("5\n", "0\n"), ("5\n", "")]
)
def test_nonsense_v1_limits_are_missing(tmp_path: Path, quota: str, period: str) -> None:
    assert isinstance(v1_control(tmp_path, quota, period).limit_cpus, Missing)


def v1_control(root: Path, quota: str, period: str) -> CpuControl:
    lay_out(root, f"=== cpu/a/cpu.cfs_quota_us\n{quota}=== cpu/a/cpu.cfs_period_us\n{period}")
    layout = CgroupLayout("v1", None, {"cpu": root / "cpu"}, "v1", 1)
    reading = read_throttling(layout, "/a")
    assert isinstance(reading, Throttling)
    assert reading.own is not None
    return reading.own


def test_a_truncated_stat_is_missing_field_by_field(tmp_path: Path) -> None:
    reading = on_v2(tmp_path, cpu_max="max 100000\n", cpu_stat="nr_periods 5\nnr_throttled -1\nthrottled_us")
    assert reading.own is not None
    counters = reading.own.counters
    assert counters.nr_periods == 5
    assert isinstance(counters.nr_throttled, Missing)
    assert isinstance(counters.throttled_ns, Missing)


def test_a_counter_that_went_backwards_is_missing_for_the_window(tmp_path: Path) -> None:
    stat = "nr_periods {}\nnr_throttled 1\nthrottled_usec 1\n"
    before = on_v2(tmp_path / "1", cpu_max="1 1\n", cpu_stat=stat.format(9))
    after = on_v2(tmp_path / "2", cpu_max="1 1\n", cpu_stat=stat.format(3))
    change = throttled_within(before, after)
    assert isinstance(change, ThrottledWindow)
    assert change.own is not None
    assert isinstance(change.own.nr_periods, Missing)
    assert change.own.nr_throttled == 0


def test_a_controller_enabled_within_the_window_is_missing(tmp_path: Path) -> None:
    before = on_v2(tmp_path / "1")
    after = on_v2(tmp_path / "2", cpu_max="1 1\n", cpu_stat="nr_periods 3\n")
    change = throttled_within(before, after)
    assert isinstance(change, ThrottledWindow)
    assert change.own is not None
    assert isinstance(change.own.nr_periods, Missing)


def test_the_local_file_of_v1_is_in_nanoseconds(tmp_path: Path) -> None:
    reading = on_v2(tmp_path, **{"cpu_stat.local": "throttled_time 839903622\n"})
    assert reading.with_ancestors_ns == 839903622
