"""Which CPUs share a core, a last-level cache, a package or a memory node, as sysfs says: nothing is guessed.

Source: Documentation/admin-guide/cputopology.rst and ABI/testing/sysfs-devices-system-cpu.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from collectors.host.readings import Missing, excerpt, numbered, parse_count, read_count, read_text

# Linux is built for at most 8192 CPUs; a list that names higher ones is not one of the kernel's.
MAX_CPUS = 1 << 16

CpuGroups = frozenset[frozenset[int]]


@dataclass(frozen=True, slots=True)
class Topology:
    """The online CPUs, and how they are grouped.

    Attributes:
        online: Their numbers.
        cores: CPUs that share a core: groups of more than one are SMT siblings.
        llc: CPUs that share the cache of the highest level.
        packages: CPUs of the same socket.
        nodes: CPUs of the same NUMA node.
    """

    online: frozenset[int] | Missing
    cores: CpuGroups | Missing
    llc: CpuGroups | Missing
    packages: CpuGroups | Missing
    nodes: CpuGroups | Missing


def read_topology(root: Path = Path("/")) -> Topology:
    """The topology of the host."""
    folder = root / "sys/devices/system/cpu"
    online = read_cpu_list(folder / "online")
    if isinstance(online, Missing):
        return Topology(online, online, online, online, online)
    cpus = [folder / f"cpu{number}" for number in sorted(online)]
    nodes = numbered(root / "sys/devices/system/node", "node").values()
    return Topology(
        online=online,
        cores=_groups(map(_siblings, cpus), online),
        llc=_groups(map(_llc, cpus), online),
        packages=_packages(folder, online),
        nodes=_groups((read_cpu_list(node / "cpulist") for node in nodes), online),
    )


def read_cpu_list(path: Path) -> frozenset[int] | Missing:
    """A file that holds a list of CPUs such as `0-3,8`; an empty list is valid."""
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    cpus = parse_cpu_list(text.strip())
    return cpus if cpus is not None else Missing(f"{path} is not a list of CPUs: {excerpt(text)}")


def parse_cpu_list(text: str) -> frozenset[int] | None:
    """The CPUs of a list such as `0-3,8`; None if it is not one."""
    cpus: set[int] = set()
    for part in text.split(",") if text else []:
        first, dash, last = part.partition("-")
        low = parse_count(first)
        high = parse_count(last) if dash else low
        if low is None or high is None or not low <= high < MAX_CPUS:
            return None
        cpus.update(range(low, high + 1))
    return frozenset(cpus)


def _siblings(cpu: Path) -> frozenset[int] | Missing:
    # The new name is of 5.3; both are there since.
    listed = read_cpu_list(cpu / "topology/core_cpus_list")
    return read_cpu_list(cpu / "topology/thread_siblings_list") if isinstance(listed, Missing) else listed


def _llc(cpu: Path) -> frozenset[int] | Missing:
    levels = {index: read_count(index / "level") for index in numbered(cpu / "cache", "index").values()}
    known = {index: level for index, level in levels.items() if isinstance(level, int)}
    if not known:
        return Missing(f"{cpu}/cache names no cache, as in virtual machines that hide it")
    return read_cpu_list(max(known, key=lambda index: known[index]) / "shared_cpu_list")


def _packages(folder: Path, online: frozenset[int]) -> CpuGroups | Missing:
    members: dict[int, set[int]] = {}
    for cpu in sorted(online):
        package = read_count(folder / f"cpu{cpu}/topology/physical_package_id")
        if isinstance(package, Missing):
            return package
        members.setdefault(package, set()).add(cpu)
    return frozenset(map(frozenset, members.values()))


def _groups(lists: Iterable[frozenset[int] | Missing], online: frozenset[int]) -> CpuGroups | Missing:
    """The groups that the lists name, of online CPUs; missing unless they cover each of them exactly once."""
    groups: set[frozenset[int]] = set()
    for cpus in lists:
        if isinstance(cpus, Missing):
            return cpus
        groups.add(cpus & online)
    groups.discard(frozenset())
    if sorted(cpu for group in groups for cpu in group) != sorted(online):
        return Missing("sysfs does not put each online CPU into exactly one group")
    return frozenset(groups)
