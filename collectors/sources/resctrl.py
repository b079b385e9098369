"""Last-level cache occupancy and memory bandwidth per resource group, where resctrl is mounted.

Source: Documentation/filesystems/resctrl.rst. A group is a directory with a `mon_data`, in which each cache
domain has one `mon_L3_ID`. Only hardware with Intel RDT, AMD QoS or Arm MPAM can do this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from collectors.host.mounts import read_mounts
from collectors.host.readings import Missing, names_in, numbered, read_count, since_by_key

NOT_MOUNTED = Missing(
    "resctrl is not mounted",
    "mount -t resctrl resctrl /sys/fs/resctrl (where the CPU can monitor its caches)",
)


@dataclass(frozen=True, slots=True)
class BandwidthCounters:
    """Bytes since the group was made: to all memory, and to the memory of the domain's own node."""

    total_bytes: int | Missing
    local_bytes: int | Missing


@dataclass(frozen=True, slots=True)
class CacheDomain:
    """One group in one cache domain: the cache lines it holds now, and its memory traffic.

    The kernel writes `Unavailable` or `Error` where the hardware could not say: missing.
    """

    occupancy_bytes: int | Missing
    bandwidth: BandwidthCounters


ResctrlGroups = Mapping[str, Mapping[int, CacheDomain]]
BandwidthWindow = Mapping[str, Mapping[int, BandwidthCounters]]


def read_resctrl(root: Path = Path("/")) -> ResctrlGroups | Missing:
    """Every monitored group by its path below the mount (`/`: the default group), with its domains by id."""
    mount = find_resctrl(root)
    if isinstance(mount, Missing):
        return mount
    groups = {_path(folder, mount): _domains(folder / "mon_data") for folder in _group_folders(mount)}
    return groups or Missing(f"{mount} has no mon_data: this hardware allocates but does not monitor")


def find_resctrl(root: Path = Path("/")) -> Path | Missing:
    """Where resctrl is mounted."""
    mounts = read_mounts(root)
    if isinstance(mounts, Missing):
        return mounts
    return next((mount.point for mount in mounts if mount.kind == "resctrl"), NOT_MOUNTED)


def bandwidth_within(
    before: ResctrlGroups | Missing, after: ResctrlGroups | Missing
) -> BandwidthWindow | Missing:
    """Memory traffic between two readings, for the groups and domains that are in both."""
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    return {
        path: since_by_key(_bandwidth(before[path]), _bandwidth(domains))
        for path, domains in after.items()
        if path in before
    }


def _bandwidth(domains: Mapping[int, CacheDomain]) -> dict[int, BandwidthCounters]:
    return {number: domain.bandwidth for number, domain in domains.items()}


def _group_folders(mount: Path) -> list[Path]:
    """The default group, the control groups, and the monitoring groups inside each."""
    controls = [mount, *(mount / name for name in names_in(mount))]
    monitors = [
        folder / "mon_groups" / name for folder in controls for name in names_in(folder / "mon_groups")
    ]
    return [folder for folder in controls + monitors if (folder / "mon_data").is_dir()]


def _path(folder: Path, mount: Path) -> str:
    return str(PurePosixPath("/") / folder.relative_to(mount))


def _domains(folder: Path) -> dict[int, CacheDomain]:
    return {number: _domain(domain) for number, domain in numbered(folder, "mon_L3_").items()}


def _domain(folder: Path) -> CacheDomain:
    return CacheDomain(
        occupancy_bytes=read_count(folder / "llc_occupancy"),
        bandwidth=BandwidthCounters(
            total_bytes=read_count(folder / "mbm_total_bytes"),
            local_bytes=read_count(folder / "mbm_local_bytes"),
        ),
    )
