"""What the doctor makes of hosts that differ from this one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.recording.counting_cost import uncounted
from agent.recording.examination import examine
from collectors.sources.capabilities import Capability
from probes.compiled import CompileRequest
from probes.errors import HostError
from probes.snapshot import CountingCost, ProbeCost

V2_ONLY = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with cgroup v2 and its cpu controller."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(V2_ONLY)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory\n")
    return tmp_path


@pytest.fixture
def with_kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the probe open, on a kernel with these features."""

    def install(**features: object) -> None:
        features = {"block_argument": 0, "network": True, "reclaim": True, **features}

        @contextmanager
        def opened(_: object, events: object) -> Iterator[SimpleNamespace]:
            assert events
            yield SimpleNamespace(
                read=lambda: SimpleNamespace(uncounted={}),
                cost=lambda: ProbeCost(0, 0, 0, 0, CountingCost(changes=6400, timed=100, timed_ns=21_000)),
                kernel=SimpleNamespace(**features),
                not_kept=None,
                dimensions=SimpleNamespace(cpus=4, slots=4096),
                request=lambda counters: CompileRequest({"NR_COUNTERS": counters}, {}, typed=True),
            )

        monkeypatch.setattr("agent.recording.examination.open_probe", opened)
        monkeypatch.setattr("agent.recording.counting_cost.LOAD_S", 0.0)

    return install


def by_name(signals: Iterable[Capability]) -> dict[str, Capability]:
    return {signal.name: signal for signal in signals}


def test_what_the_kernel_does_not_show_of_devices_is_missing(
    root: Path, with_kernel: Callable[..., None]
) -> None:
    named = ("disk waits", "network queues", "reclaim by whom")
    with_kernel(typed=True, throttling=True, stolen=True)
    found = by_name(examine(root).capabilities)
    assert [found[name].state for name in named] == ["available"] * 3
    nothing = {"block_argument": None, "network": False, "reclaim": False}
    with_kernel(typed=True, throttling=True, stolen=True, **nothing)
    found = by_name(examine(root).capabilities)
    assert [found[name].state for name in named] == ["missing"] * 3


def test_all_that_the_kernel_offers_is_available(root: Path, with_kernel: Callable[..., None]) -> None:
    with_kernel(typed=True, throttling=True, stolen=True)
    found = by_name(examine(root).capabilities)
    for name in (
        "scheduler latency",
        "preemption",
        "run-queue length",
        "throttled waits",
        "stolen time",
        "cgroups",
    ):
        assert found[name].state == "available"
    assert "v2" in found["cgroups"].reason


@pytest.mark.parametrize(
    ("missing", "name", "remedy"),
    [("throttling", "throttled waits", "CONFIG_CFS_BANDWIDTH"), ("stolen", "stolen time", "TIME_ACCOUNTING")],
)
def test_what_the_kernel_lacks_is_missing_with_the_option_that_brings_it(
    root: Path, with_kernel: Callable[..., None], missing: str, name: str, remedy: str
) -> None:
    with_kernel(**{"typed": True, "throttling": True, "stolen": True, missing: False})
    found = by_name(examine(root).capabilities)[name]
    assert found.state == "missing"
    assert remedy in (found.remedy or "")


def test_the_slower_programs_are_said_to_be_slower(root: Path, with_kernel: Callable[..., None]) -> None:
    with_kernel(typed=False, throttling=True, stolen=True)
    assert "5 times the cost" in by_name(examine(root).capabilities)["scheduler latency"].reason


def test_a_probe_that_is_refused_is_why_its_signals_are_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, _events: object) -> None:
        raise HostError("attaching probes needs root", "run it with sudo")

    monkeypatch.setattr("agent.recording.examination.open_probe", refuse)
    examined = examine(root)
    assert examined.counting == uncounted("attaching probes needs root")
    found = by_name(examined.capabilities)
    assert found["scheduler latency"] == Capability(
        "scheduler latency", "missing", "attaching probes needs root", "run it with sudo"
    )
    assert found["cgroups"].state == "available"


def test_cgroups_without_the_cpu_controller_are_degraded(
    root: Path, with_kernel: Callable[..., None]
) -> None:
    with_kernel(typed=True, throttling=True, stolen=True)
    (root / "sys/fs/cgroup/cgroup.controllers").write_text("memory\n")
    assert by_name(examine(root).capabilities)["cgroups"].state == "degraded"


SIBLINGS = "0-1\n"


@pytest.mark.parametrize(
    ("files", "state", "told"),
    [
        ([], "missing", "online does not exist"),
        (["topology/core_cpus_list"], "degraded", "CPUs with cores in common; "),
        (["cache/index0/shared_cpu_list"], "degraded", "CPUs with caches in common; "),
        (
            ["topology/core_cpus_list", "cache/index0/shared_cpu_list"],
            "available",
            "cores and caches in common",
        ),
    ],
)
def test_who_ran_beside_whom_is_known_as_far_as_the_topology_is(
    root: Path, with_kernel: Callable[..., None], files: list[str], state: str, told: str
) -> None:
    with_kernel(typed=True, throttling=True, stolen=True)
    folder = root / "sys/devices/system/cpu"
    for file in files:
        for cpu in ("cpu0", "cpu1"):
            path = folder / cpu / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SIBLINGS)
            (path.parent / "level").write_text("3\n")
        (folder / "online").write_text(SIBLINGS)
    found = by_name(examine(root).capabilities)["co-run"]
    assert found.state == state
    assert told in found.reason


def test_without_cgroups_that_is_all_there_is_to_say(root: Path) -> None:
    (root / "proc/self/mountinfo").write_text("")
    assert [(signal.name, signal.state) for signal in examine(root).capabilities] == [("cgroups", "missing")]
