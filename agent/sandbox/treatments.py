"""Remedies: what can be done to a neighbour, or to where it runs, as changes of cgroup files that are put back.

Each is what its owner could do tomorrow, for good: `stop` for comparison, a weight, a quota, CPUs of its own, the idle
class, a weight for I/O, a limit of memory. Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/*.rst,
systemd.resource-control(5).
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from agent.sandbox.existing import ExistingCgroup, Freezable
from agent.sandbox.janitor import Janitor
from agent.sandbox.quota import DEFAULT_PERIOD_US, LEAST_QUOTA_US, find_quota
from collectors.host.hierarchy import CgroupLayout
from collectors.host.names import name_workload
from collectors.host.readings import Missing, read_text
from probes.errors import HostError, UsageError

STOP = "stop"
V1_SHARES_PER_WEIGHT = 1024 / 100
"""Both are what a cgroup has unless it was given something else."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_UPDATED = ("docker", "podman")  # by `docker update`, of a running container
_PROPERTIES = {
    "weight": "CPUWeight",
    "idle": "CPUWeight",
    "quota": "CPUQuota",
    "cpus": "AllowedCPUs",
    "io.weight": "IOWeight",
    "memory.high": "MemoryHigh",
}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_FORMS = "stop, weight=N, quota=CPUS, cpus=LIST, idle, io.weight=N or memory.high=BYTES"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to do to the neighbours; `value` is empty where there is nothing to choose."""

    kind: str
    value: str = ""

    @property
    def text(self) -> str:
        """As it is given to `--remedy`."""
        return f"{self.kind}={self.value}" if self.value else self.kind

    @property
    def stops(self) -> bool:
        """Whether the neighbours stand still, for which there are bounds of its own."""
        return self.kind == STOP


@dataclass(frozen=True, slots=True)
class FileChange:
    """What to write to one file of a cgroup, and what was found in it."""

    file: Path
    during: str
    after: str


def parse_remedy(text: str) -> Remedy:
    """The remedy that a text such as `quota=0.5` means.

    Raises:
        UsageError: It is none, or its value is out of what the kernel takes.
    """
    kind, _, value = text.partition("=")
    checks = {
        STOP: lambda: value == "",
        "idle": lambda: value == "",
        "weight": lambda: 1 <= int(value) <= 10_000,
        "io.weight": lambda: 1 <= int(value) <= 10_000,
        "quota": lambda: float(value) * DEFAULT_PERIOD_US >= LEAST_QUOTA_US and float(value) < 1e6,
        "cpus": lambda: re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value) is not None,
        "memory.high": lambda: _bytes(value) > 0,
    }
    with contextlib.suppress(ValueError):
        if kind in checks and checks[kind]():
            return Remedy(kind, value)
    raise UsageError(f"--remedy {text!r} is not a remedy", f"use {_FORMS}")


def _bytes(text: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise ValueError(text)
    return int(float(found[1]) * _UNITS[found[2]])


def changes_of(remedy: Remedy, neighbour: Freezable, layout: CgroupLayout) -> tuple[FileChange, ...]:
    """What to write for it to one neighbour, where its files are on this host.

    Raises:
        HostError: This neighbour has no file for it.
    """
    cgroup = neighbour.cgroup
    if remedy.stops:
        freezer = neighbour.freezer
        return (FileChange(freezer.file, freezer.freeze, freezer.thaw),)
    if remedy.kind == "quota":
        found = find_quota(cgroup.called, cgroup.directories, os.cpu_count() or 1)
        quota_us = round(float(remedy.value) * found.period_us)
        during = f"{quota_us} {found.period_us}" if found.file.name == "cpu.max" else str(quota_us)
        return (FileChange(found.file, during, found.text),)
    for name, during in _files(remedy):
        for directory in directories(cgroup, layout):
            text = read_text(directory / name)
            if not isinstance(text, Missing):
                change = FileChange(directory / name, during, _as_written(name, text))
                return (*_lost_by(remedy, directory), change)
    names = " or ".join(name for name, _ in _files(remedy))
    raise HostError(
        f"--remedy {remedy.text}: the cgroup {cgroup.called} has no {names}",
        "enable that controller for it, or leave this remedy out",
    )


def _files(remedy: Remedy) -> Sequence[tuple[str, str]]:
    """The files that may do it, and what to write there: v2's, then v1's."""
    value = remedy.value
    match remedy.kind:
        case "weight":
            return (
                ("cpu.weight", value),
                ("cpu.shares", str(max(2, round(int(value) * V1_SHARES_PER_WEIGHT)))),
            )
        case "idle":
            return (("cpu.idle", "1"),)
        case "cpus":
            return (("cpuset.cpus", value),)
        case "io.weight":
            return (
                ("io.weight", f"default {value}"),
                ("io.bfq.weight", f"{min(1000, int(value))}"),
                ("blkio.bfq.weight", f"{min(1000, int(value))}"),
            )
        case _:
            return (("memory.high", str(_bytes(value) // _PAGE * _PAGE)),)


def _lost_by(remedy: Remedy, directory: Path) -> Iterator[FileChange]:
    """The weight, which a cgroup loses in the idle class: it is written again when that is over."""
    for name in ("cpu.weight", "cpu.shares") if remedy.kind == "idle" else ():
        text = read_text(directory / name)
        if not isinstance(text, Missing):
            yield FileChange(directory / name, text.strip(), text.strip())


def _as_written(name: str, text: str) -> str:
    """What to write to have a file say again what it says: of io.weight the default, not those of devices."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return "\n" if name == "cpuset.cpus" and not line else line


def directories(cgroup: ExistingCgroup, layout: CgroupLayout) -> tuple[Path, ...]:
    """Where it is in any hierarchy that has it."""
    mounts = dict.fromkeys(mount for mount in (layout.v2_mount, *layout.v1_mounts.values()) if mount)
    return tuple(mount / cgroup.path[1:] for mount in mounts if (mount / cgroup.path[1:]).is_dir())


@contextlib.contextmanager
def applied(changes: Sequence[FileChange], janitor: Janitor, most_s: float) -> Iterator[None]:
    """All of them in force within, all as found afterwards; after `most_s` by the janitor.

    Raises:
        JostleError: One of them cannot be written: the kernel refuses it, or the cgroup is gone.
    """
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(janitor.changed(change.file, change.during, change.after, most_s))
        yield


def how_to_apply(remedy: Remedy, cgroup: ExistingCgroup, changes: Sequence[FileChange]) -> tuple[str, ...]:
    """The lines that would keep it: by systemd for a unit, in Kubernetes for a pod, by a container's runtime.

    Where none of these knows it, what is to be written to the kernel's files, which lasts as long as the cgroup.
    Lines are pasted into root's shell, and a tenant may have chosen the name.
    """
    workload = name_workload(cgroup.path)
    if remedy.stops:
        lines: Iterable[str] = (f"move {workload.name} to another host, or to another time",)
    elif "kubepods" in cgroup.path:
        lines = _in_kubernetes(remedy)
    elif workload.runtime in _UPDATED and workload.container_name and not workload.inner:
        lines = _by_runtime(remedy, workload.runtime, workload.container_name, changes)
    elif workload.systemd_unit and not workload.inner:
        lines = _by_systemd(remedy, workload.systemd_unit)
    else:  # also what is within a unit: a user's manager's, or nobody's
        lines = ()
    written = (change for change in changes if change.during != change.after)
    return tuple(lines) or tuple(f"echo {quote(each.during)} > {quote(str(each.file))}" for each in written)


def _by_systemd(remedy: Remedy, unit: str) -> Iterator[str]:
    value = f"{float(remedy.value) * 100:g}%" if remedy.kind == "quota" else remedy.value or "idle"
    yield f"systemctl set-property {quote(unit)} {_PROPERTIES[remedy.kind]}={value}"


def _in_kubernetes(remedy: Remedy) -> Iterator[str]:
    match remedy.kind:
        case "weight":
            milli_cpus = round(int(remedy.value) * V1_SHARES_PER_WEIGHT * 1000 / 1024)
            yield f"resources.requests.cpu: {max(1, milli_cpus)}m"
        case "quota":
            yield f"resources.limits.cpu: {remedy.value!r}"
        case "memory.high":
            yield f"resources.limits.memory: {remedy.value}i"


def _by_runtime(remedy: Remedy, runtime: str, name: str, changes: Sequence[FileChange]) -> Iterator[str]:
    """Docker and Podman count weights in v1's shares; what they make of these on v2 differs by their version."""
    update, shares = f"{runtime} update", [each.during for each in changes if each.file.name == "cpu.shares"]
    match remedy.kind:
        case "quota":
            yield f"{update} --cpus={remedy.value} {quote(name)}"
        case "cpus":
            yield f"{update} --cpuset-cpus={remedy.value} {quote(name)}"
        case "weight" if shares:
            yield f"{update} --cpu-shares={shares[0]} {quote(name)}"
