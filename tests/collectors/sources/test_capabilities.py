from pathlib import Path

import pytest

from collectors.sources.capabilities import Capability, file_capabilities
from collectors.sources.psi import REMEDY
from probes import perf_event
from probes.perf_event import CPU_CLOCK
from tests.collectors.tree import IDS, SOFTWARE_CLOCKS, SYSTEMD, lay_out, recorded

NAMES = [
    *("throttling", "psi-cpu", "psi-memory", "psi-io", "memory-reclaim", "block-io", "frequency", "steal"),
    *("interrupts", "smt-topology", "llc-topology", "resctrl", "names", "schedstat"),
]


def signals(root: Path) -> dict[str, Capability]:
    return {signal.name: signal for signal in file_capabilities(root)}


def states(root: Path) -> dict[str, str]:
    return {name: signal.state for name, signal in signals(root).items()}


def test_the_list_is_fixed_and_every_entry_says_why(tmp_path: Path) -> None:
    for root in (tmp_path, recorded(tmp_path / "v2", "v2-after"), Path("/")):
        found = file_capabilities(root)
        assert [signal.name for signal in found] == NAMES
        assert all(signal.reason for signal in found)


def test_an_empty_root_can_measure_nothing_but_paths(tmp_path: Path) -> None:
    assert {name for name, state in states(tmp_path).items() if state != "missing"} == {"names"}


def test_v2(tmp_path: Path) -> None:
    root = recorded(tmp_path, "v2-after")
    # The recording holds these files for one container only; a live tree has them in every cgroup.
    for file in (root / "sys/fs/cgroup" / SYSTEMD["besteffort"][1:]).iterdir():
        (root / "sys/fs/cgroup/kubepods.slice" / file.name).write_bytes(file.read_bytes())
    found = states(root)
    for name in ("throttling", "psi-cpu", "psi-memory", "psi-io", "memory-reclaim", "block-io", "steal"):
        assert found[name] == "available", name


def test_v1(tmp_path: Path) -> None:
    found = signals(recorded(tmp_path, "v1-after"))
    assert found["throttling"].state == "available"
    assert (found["psi-cpu"].state, found["psi-cpu"].remedy) == ("degraded", "mount cgroup v2")


def test_v1_memory_has_no_reclaim_counters(tmp_path: Path) -> None:
    recorded(tmp_path, "v1-after")
    lay_out(
        tmp_path,
        "=== sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes\n1\n"
        "=== sys/fs/cgroup/memory/kubepods/memory.stat\ntotal_pgmajfault 1\n",
    )
    assert signals(tmp_path)["memory-reclaim"].state == "degraded"


def test_v1_block_io_that_counts_nothing_is_missing_with_a_remedy(tmp_path: Path) -> None:
    recorded(tmp_path, "hybrid")
    top = "=== sys/fs/cgroup/blkio/blkio.throttle"
    for total, state in ((0, "missing"), (5, "available")):
        lay_out(
            tmp_path,
            f"{top}.io_serviced_recursive\n8:0 Read {total}\n"
            f"{top}.io_service_bytes_recursive\n8:0 Read {total}\n",
        )
        signal = signals(tmp_path)["block-io"]
        assert signal.state == state
        assert (signal.remedy is None) == (state == "available")


def test_a_v2_root_that_enables_no_cpu_controller(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    (tmp_path / "sys/fs/cgroup/kubepods.slice/cpu.max").unlink()
    signal = signals(tmp_path)["throttling"]
    assert signal.state == "degraded"
    assert signal.remedy is not None
    assert "subtree_control" in signal.remedy
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("memory\n")
    assert signals(tmp_path)["throttling"].state == "missing"


def test_psi_switched_off(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    for resource in ("cpu", "memory", "io"):
        (tmp_path / "proc/pressure" / resource).unlink()
    found = signals(tmp_path)
    assert {found[f"psi-{resource}"].remedy for resource in ("cpu", "memory", "io")} == {REMEDY}


def test_frequency(tmp_path: Path) -> None:
    assert states(tmp_path)["frequency"] == "missing"
    lay_out(tmp_path, "=== sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq\n1\n")
    assert states(tmp_path)["frequency"] == "degraded"
    lay_out(tmp_path, SOFTWARE_CLOCKS)
    refusal = perf_event.available([CPU_CLOCK])[CPU_CLOCK]
    found = signals(tmp_path)["frequency"]
    assert found.state == ("degraded" if refusal else "available")
    assert refusal is None or refusal.reason in found.reason


def test_clocks_that_may_not_be_counted_are_said_to_be(tmp_path: Path) -> None:
    """A PMU of sysfs that perf_event_open(2) knows nothing of."""
    lay_out(
        tmp_path,
        SOFTWARE_CLOCKS.replace("type\n1\n", "type\n4000000000\n")
        + "=== sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq\n1\n",
    )
    found = signals(tmp_path)["frequency"]
    assert found.state == "degraded"
    assert "no APERF and MPERF" not in found.reason


@pytest.mark.parametrize(
    ("row", "steal", "interrupts"),
    [
        ("1 1 1 1 1 1 1 1", "available", "available"),
        ("1 1 1 1 1 0 1 0", "available", "degraded"),
        ("1 1 1 1 1 1 1", "missing", "available"),
        ("1 1 1 1 1", "missing", "missing"),
    ],
)
def test_steal_and_interrupts(tmp_path: Path, row: str, steal: str, interrupts: str) -> None:
    found = states(lay_out(tmp_path, f"=== proc/stat\ncpu {row}\n"))
    assert (found["steal"], found["interrupts"]) == (steal, interrupts)


def test_resctrl(tmp_path: Path) -> None:
    assert states(recorded(tmp_path, "resctrl"))["resctrl"] == "available"


def test_names_says_which_runtimes_it_found(tmp_path: Path) -> None:
    signal = signals(recorded(tmp_path, "runtimes"))["names"]
    assert "docker, containerd, podman or cri-o" in signal.reason
    assert "no container" in signals(tmp_path / "none")["names"].reason
    assert IDS["docker"] not in signal.reason


@pytest.mark.parametrize(
    ("schedstat", "state"), [("5 0 1", "available"), ("0 0 0", "missing"), ("x", "missing")]
)
def test_schedstat(tmp_path: Path, schedstat: str, state: str) -> None:
    lay_out(
        tmp_path,
        f"=== proc/self/schedstat\n{schedstat}\n=== proc/self/status\nnonvoluntary_ctxt_switches:\t0\n",
    )
    assert states(tmp_path)["schedstat"] == state


def test_topology(tmp_path: Path) -> None:
    cpu = "=== sys/devices/system/cpu"
    lay_out(
        tmp_path,
        f"{cpu}/online\n0-1\n" + "".join(f"{cpu}/cpu{n}/topology/core_cpus_list\n0-1\n" for n in (0, 1)),
    )
    found = signals(tmp_path)
    assert found["smt-topology"] == Capability("smt-topology", "available", "cores: 1, CPUs: 2")
    assert found["llc-topology"].state == "missing"
