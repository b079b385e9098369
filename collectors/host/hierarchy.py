"""Where the cgroup hierarchies are mounted, which cgroups they hold, and who is in them.

Sources: proc_pid_mountinfo(5), cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst.
A cgroup's id is the inode of its directory, which the kernel also hands to BPF as `kn->id`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from collectors.host.mounts import Mount, read_mounts
from collectors.host.readings import Missing, parse_count, read_lines, read_text
from collectors.host.roots import of_host
from probes.errors import HostError

CgroupMode = Literal["v1", "v2", "hybrid"]

V1_CONTROLLERS = frozenset(
    {
        *("blkio", "cpu", "cpuacct", "cpuset", "debug", "devices", "freezer", "hugetlb"),
        *("memory", "misc", "net_cls", "net_prio", "perf_event", "pids", "rdma"),
    }
)


@dataclass(frozen=True, slots=True)
class CgroupLayout:
    """The cgroup hierarchies of a host, as they can be reached below the root that was given.

    Attributes:
        mode: `v2` and `v1` when only that kind is mounted, else `hybrid`.
        v2_mount: Where the unified hierarchy is mounted.
        v1_mounts: Controller, or `name=…` for a hierarchy without one, to mount; co-mounted ones share it.
        cpu_on: Which kind has the cpu controller: limits and weights work there. None: neither.
        v1_cpu_hierarchy_id: The id of the v1 hierarchy with the cpu controller, as in /proc/PID/cgroup.
        mount_roots: The cgroup that a mount shows as its top, where it is not the hierarchy's own.
        namespace_roots: The top of this process's cgroup namespace, as `walk` names it, of the mounts that show more.
    """

    mode: CgroupMode
    v2_mount: Path | None
    v1_mounts: Mapping[str, Path]
    cpu_on: Literal["v1", "v2"] | None
    v1_cpu_hierarchy_id: int | None
    mount_roots: Mapping[Path, str] = field(default_factory=dict)
    namespace_roots: Mapping[Path, str] = field(default_factory=dict)

    @property
    def cpu_mount(self) -> Path | None:
        """The mount of the hierarchy that has the cpu controller."""
        return self.v1_mounts["cpu"] if self.cpu_on == "v1" else self.v2_mount if self.cpu_on else None


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One cgroup: its directory's inode, and its path within the mount (`/` for the top)."""

    id: int
    path: str

    def directory(self, mount: Path) -> Path:
        """The cgroup's directory below the mount that it was found in."""
        return mount / self.path[1:]


@dataclass(frozen=True, slots=True)
class Membership:
    """The cgroup of a task in each hierarchy, as `walk` names it; None: not in one that is mounted here."""

    v2: str | None
    v1_cpu: str | None


def detect_layout(root: Path = Path("/")) -> CgroupLayout:
    """Find the hierarchies in `root`/proc/self/mountinfo; of a jostle in a container, those of the host's root.

    Raises:
        HostError: No cgroup hierarchy is mounted, the mounts cannot be read, or a cgroup namespace of its own hides
            others.
    """
    mounts = _of_host() if of_host(root) != root else read_mounts(root)
    if isinstance(mounts, Missing):
        raise HostError(mounts.reason, "mount /proc")
    # Those that show a whole hierarchy first.
    mounts.sort(key=lambda mount: mount.top != "/")
    v2 = next((mount for mount in mounts if mount.kind == "cgroup2"), None)
    v1 = _by_controller(mount for mount in mounts if mount.kind == "cgroup")
    chosen = [*v1.values(), *([v2] if v2 else [])]
    if not chosen:
        raise HostError("no cgroup hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    _require_whole([mount for mount in (v2, v1.get("cpu")) if mount is not None], root)
    return CgroupLayout(
        mode="hybrid" if v1 and v2 else "v2" if v2 else "v1",
        v2_mount=v2.point if v2 else None,
        v1_mounts={name: mount.point for name, mount in v1.items()},
        cpu_on="v1" if "cpu" in v1 else "v2" if v2 and _has_cpu(v2.point) else None,
        v1_cpu_hierarchy_id=_v1_cpu_hierarchy_id(root),
        mount_roots={mount.point: mount.top for mount in chosen if mount.top != "/"},
        namespace_roots=_namespace_roots(chosen, root),
    )


def _of_host() -> list[Mount] | Missing:
    """The mounts of the host's first process, as a container sees them that has the host's root mounted."""
    mounts = read_mounts(of_host(), "1")
    return mounts if isinstance(mounts, Missing) else [mount for mount in mounts if mount.point.is_dir()]


def _require_whole(mounts: Iterable[Mount], root: Path) -> None:
    """Refuse to take a container's own cgroups for the host's: the first process is in none that they show."""
    lines = read_lines(root / "proc/1/cgroup")
    first = [] if isinstance(lines, Missing) else list(_memberships(lines))
    for mount in mounts:
        kinds = {""} if mount.kind == "cgroup2" else mount.options
        path = next((path for _, names, path in first if set(names.split(",")) & kinds), "/")
        if path.startswith("/..") and not mount.top.startswith("/.."):
            raise HostError(
                "a cgroup namespace of its own hides the host's cgroups",
                "give its container the host's (--cgroupns=host), or the host's root: "
                "-v /:/host:ro,rslave and jostle --host-root /host",
            )


def walk(mount: Path) -> Iterator[Cgroup]:
    """Every cgroup below a mount, parents before children; directories that vanish meanwhile are left out."""
    pending = ["/"]
    while pending:
        path = pending.pop()
        directory = f"{mount}{path}"
        try:
            status = os.stat(directory)  # noqa: PTH116  ten thousand of these: no Path for each
            # A directory has two links and one more per subdirectory. Most cgroups have none, and this
            # costs 2 µs where listing their files costs 11.
            children = [] if status.st_nlink == 2 else _subdirectories(directory)
        except OSError:
            continue
        yield Cgroup(status.st_ino, path)
        prefix = path if path == "/" else f"{path}/"
        pending.extend(prefix + name for name in reversed(children))


def lineage(path: str) -> list[str]:
    """A cgroup's path, then its ancestors', nearest first, down to `/`."""
    names = [name for name in path.split("/") if name]
    return ["/" + "/".join(names[:depth]) for depth in range(len(names), -1, -1)]


def cgroup_of_pid(pid: int, layout: CgroupLayout, root: Path = Path("/")) -> Membership | Missing:
    """The cgroup of a process in the v2 and in the v1 cpu hierarchy, from /proc/PID/cgroup."""
    lines = read_lines(root / "proc" / str(pid) / "cgroup")
    if isinstance(lines, Missing):
        return lines
    paths = {name: path for _, names, path in _memberships(lines) for name in names.split(",")}
    return Membership(
        v2=_within(paths.get(""), layout.v2_mount, layout),
        v1_cpu=_within(paths.get("cpu"), layout.v1_mounts.get("cpu"), layout),
    )


def tells_more(path: str, layout: CgroupLayout) -> bool:
    """Whether a v1 cpu cgroup of this path tells its tasks apart better than v2 does: that has no cgroup of the path.

    Containers of older runtimes are all in their daemon's v2 cgroup, and each in a v1 cgroup of its own.
    """
    return path != "/" and layout.v2_mount is not None and not (layout.v2_mount / path[1:]).is_dir()


def members(directory: Path) -> list[int] | Missing:
    """The ids of the processes in a cgroup, in order; of a threaded cgroup, the ids of its threads.

    Processes of a pid namespace that cannot be seen from here, which the kernel shows as 0, are left out.
    """
    processes = _ids(directory / "cgroup.procs")
    # A threaded cgroup refuses with EOPNOTSUPP: its processes belong to the domain above it.
    return threads(directory) if isinstance(processes, Missing) else processes


def threads(directory: Path) -> list[int] | Missing:
    """The ids of all tasks in a cgroup, in order: cgroup.threads on v2, tasks on v1."""
    ids = _ids(directory / "cgroup.threads")
    return _ids(directory / "tasks") if isinstance(ids, Missing) else ids


def _ids(path: Path) -> list[int] | Missing:
    lines = read_lines(path)
    if isinstance(lines, Missing):
        return lines
    return sorted({number for line in lines if (number := parse_count(line))})


def _by_controller(mounts: Iterable[Mount]) -> dict[str, Mount]:
    table: dict[str, Mount] = {}
    for mount in mounts:
        for option in sorted(mount.options):
            if option in V1_CONTROLLERS or option.startswith("name="):
                table.setdefault(option, mount)
    return table


def _has_cpu(mount: Path) -> bool:
    controllers = read_text(mount / "cgroup.controllers")
    return not isinstance(controllers, Missing) and "cpu" in controllers.split()


def _v1_cpu_hierarchy_id(root: Path) -> int | None:
    lines = read_lines(root / "proc/self/cgroup")
    if isinstance(lines, Missing):
        return None
    return next((number for number, names, _ in _memberships(lines) if "cpu" in names.split(",")), None)


def _memberships(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Hierarchy id, controllers (v2: none), path of each line `ID:CONTROLLERS:PATH` of /proc/PID/cgroup."""
    for line in lines:
        number, names, path = (*line.split(":", 2), "", "")[:3]
        hierarchy = parse_count(number)
        if hierarchy is not None and path.startswith("/"):
            yield hierarchy, names, path


def _within(path: str | None, mount: Path | None, layout: CgroupLayout) -> str | None:
    """A path of /proc/PID/cgroup as seen from a mount; None when the mount does not show that cgroup."""
    if path is None or mount is None:
        return None
    if mount in layout.namespace_roots:
        return _below(layout.namespace_roots[mount], path)
    top = layout.mount_roots.get(mount, "")
    if path != top and not path.startswith(f"{top}/"):
        return None
    seen = path[len(top) :] or "/"
    # A leading /.. means outside the cgroup namespace, whose root is the top of the mount.
    return None if seen == "/.." or seen.startswith("/../") else seen


def _namespace_roots(mounts: Iterable[Mount], root: Path) -> dict[Path, str]:
    """Where the paths of /proc/PID/cgroup begin, for the mounts that show more than this cgroup namespace.

    The kernel tells paths relative to the top of the reader's namespace, and of a mount made outside only how many
    steps its top lies above that (`/../..`, cgroup_namespaces(7)). So the way down is that to this very process.
    """
    lines = read_lines(root / "proc/self/cgroup")
    lines = [] if isinstance(lines, Missing) else lines
    told = [(set(names.split(",")), path) for _, names, path in _memberships(lines)]
    found: dict[Path, str] = {}
    for mount in mounts:
        kinds = {""} if mount.kind == "cgroup2" else mount.options
        own = next((path.rstrip("/") for names, path in told if names & kinds), None)
        if own is None or not mount.top.startswith("/.."):
            continue
        here = next((c.path for c in walk(mount.point) if _is_in(os.getpid(), c.directory(mount.point))), "")
        if here.endswith(own) and here:
            found[mount.point] = here.removesuffix(own) or "/"
    return found


def _is_in(pid: int, directory: Path) -> bool:
    pids = members(directory)
    return not isinstance(pids, Missing) and pid in pids


def _below(start: str, path: str) -> str | None:
    """A path, which may begin with `/..`, from a cgroup on; None when it leads out of what the mount shows."""
    parts = [part for part in start.split("/") if part]
    for part in path.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part:
            parts.append(part)
    return "/" + "/".join(parts)


def _subdirectories(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def leaf(path: str) -> str:
    """The last part of a cgroup's path; `/` and the names that are not paths stay."""
    return path.rstrip("/").rpartition("/")[2] or path


def is_within(path: str, ancestor: str) -> bool:
    """Whether a path is the ancestor or below it."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")
