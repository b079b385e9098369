"""Whom waits are charged to, of a tree of cgroups: one tenant in 40 cgroups is one culprit.

A culprit is named by the lowest cgroup that holds all that was waited for of one tenant. A tenant is the highest cgroup
that does not hold the victim as well; what systemd, the kubelet and the runtimes make to group tenants is none. Only
from the root down is a name taken for such a group: what lies below a tenant may have been named by it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from os.path import commonpath

from collectors.host.hierarchy import is_within

_GROUP = re.compile(
    r"(system|user|machine|app|session|background)\.slice|user@\d+\.service|docker|lxc|machine|libpod_parent"
    r"|(.+-)?kubepods(-burstable|-besteffort)?(\.slice)?|burstable|besteffort"
)
_KEPT = 4096


def tenant_of(path: str, victim: str) -> str:
    """The cgroup that stands for the whole tenant that `path` belongs to, as `victim` sees it; no path: itself."""
    tenant = outermost(path)
    if not is_within(victim, tenant):
        return tenant
    if victim.startswith(path[: path.rfind("/") + 1]):
        return path  # beside the victim or around it, as most are: a fifth of the time that the rest takes
    parts, others = path.split("/"), victim.split("/")
    same = next((n for n, (one, other) in enumerate(zip(parts, others, strict=False)) if one != other), None)
    return path if same is None else _below(parts, same)


@lru_cache(_KEPT)
def outermost(path: str) -> str:
    """The tenant of a cgroup, as a victim elsewhere sees it."""
    return _below(path.split("/"), 1) if path.startswith("/") else path


def _below(parts: list[str], first: int) -> str:
    """The path down to the first part, from `first` on, that groups no tenants."""
    place = first
    while place < len(parts) - 1 and _GROUP.fullmatch(parts[place]):
        place += 1
    return "/".join(parts[: place + 1])


def culprits(names: Iterable[str], victim: str, depth: int | None = None) -> dict[str, str]:
    """Who stands for each of those that a victim waited for.

    Args:
        names: Paths, and names of what is no cgroup.
        victim: Its path.
        depth: Name cgroups by so many parts of their paths, or as many more as part them from the victim's, instead.
    """
    if depth is not None:
        return {name: _at(name, victim, depth) for name in names}
    tenants: dict[str, list[str]] = {}
    for name in names:
        tenants.setdefault(tenant_of(name, victim), []).append(name)
    return {
        name: commonpath(members) if len(members) > 1 else name
        for members in tenants.values()
        for name in members
    }


def _at(name: str, victim: str, depth: int) -> str:
    if not name.startswith("/"):
        return name
    parts = name.split("/")
    while depth < len(parts) - 1 and is_within(victim, "/".join(parts[: depth + 1]) or "/"):
        depth += 1
    return "/".join(parts[: depth + 1]) or "/"
