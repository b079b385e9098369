"""Which workload a cgroup is, as far as its path says.

Paths as made by systemd (systemd.slice(5), CGROUP_DELEGATION.md), by the kubelet with either cgroup driver,
and by Docker, containerd, CRI-O, Podman and LXC. The outermost container or unit names the workload: what is
below it may have been named by a tenant, who could otherwise pose as another's container.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

WorkloadKind = Literal["root", "container", "pod", "unit", "cgroup"]

_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
}
# They make their containers' cgroups below their own when the kubelet uses another cgroup driver than they.
_RUNTIME_SERVICES = frozenset({"containerd.service", "k3s.service", "k3s-agent.service"})

_ID = r"(?P<id>[0-9a-f]{64})"
_UID = r"(?P<uid>[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})"
_QOS = r"(?P<qos>burstable|besteffort)"
_PREFIX = f"(?P<prefix>{'|'.join(_RUNTIMES)})"
_SCOPE = re.compile(rf"{_PREFIX}-{_ID}(?:\.scope)?")
_COLONS = re.compile(rf"[^:]+:{_PREFIX}:{_ID}")
_BARE_ID = re.compile(_ID)
_LXC = re.compile(r"lxc\.payload\.(?P<name>.+)")
_POD_SLICE = re.compile(rf"(?:.+-)?kubepods(?:-{_QOS})?-pod{_UID}\.slice")
_QOS_SLICE = re.compile(rf"(?:.+-)?kubepods-{_QOS}\.slice")
_POD = re.compile(rf"pod{_UID}")
_UNIT = re.compile(r".+\.(?:service|scope|socket|mount|swap)")
_ESCAPED = re.compile(r"(?:\\x[0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class Workload:
    """Who runs in a cgroup. Every name is hostile text: whoever shows it must escape it.

    Attributes:
        kind: `cgroup` when nothing more is known.
        path: The cgroup.
        name: What to call it: `NAMESPACE/POD/CONTAINER`, a container's or unit's name, else the path. A
            cgroup inside the workload adds its own path after a slash.
        inner: That path, relative; empty for the workload's own cgroup.
        systemd_unit: The unit's id, as systemctl takes it.
        container_id: 64 hexadecimal digits; None for LXC.
        runtime: `docker`, `containerd`, `cri-o`, `podman` or `lxc`.
        pod_uid: With hyphens where Kubernetes has them.
        pod_name: The pod's name.
        namespace: The pod's namespace.
        container_name: The container's name within the pod; None for the pod's sandbox.
        qos_class: `guaranteed`, `burstable` or `besteffort`.
    """

    kind: WorkloadKind
    path: str
    name: str
    inner: str = ""
    systemd_unit: str | None = None
    container_id: str | None = None
    runtime: str | None = None
    pod_uid: str | None = None
    pod_name: str | None = None
    namespace: str | None = None
    container_name: str | None = None
    qos_class: str | None = None

    def named(self, name: str) -> "Workload":
        """The same workload under another name, to which the path inside it is added."""
        return replace(self, name=f"{name}/{self.inner}" if self.inner else name)


def identify(path: str) -> Workload:
    """The workload of a cgroup, from its path alone."""
    parts = [part for part in path.split("/") if part]
    group = Workload("cgroup" if parts else "root", path, path)
    for depth, part in enumerate(parts):
        outer, inner = parts[:depth], "/".join(parts[depth + 1 :])
        group = _group(group, part, outer, inner)
        found = _container(group, part, outer, inner) or _unit(group, part, inner)
        if found is not None:
            return found
    return group


def _group(group: Workload, part: str, outer: Sequence[str], inner: str) -> Workload:
    """What a directory adds when it groups workloads: a pod, a QoS class or a slice."""
    part = part.partition(":")[0]
    in_kubepods = "kubepods" in outer
    if pod := _POD_SLICE.fullmatch(part):
        return _pod(group, pod["uid"], pod["qos"], part, inner)
    if in_kubepods and (pod := _POD.fullmatch(part)):
        return _pod(group, pod["uid"], group.qos_class, None, inner)
    if in_kubepods and part in ("burstable", "besteffort"):
        return replace(group, qos_class=part)
    if part.endswith(".slice"):
        qos = _QOS_SLICE.fullmatch(part)
        unit = replace(
            group, kind="unit", systemd_unit=part, inner=inner, qos_class=qos["qos"] if qos else None
        )
        return unit.named(unescaped(part))
    return group


def _pod(group: Workload, uid: str, qos: str | None, unit: str | None, inner: str) -> Workload:
    uid = uid.replace("_", "-")
    pod = replace(
        group, kind="pod", systemd_unit=unit, inner=inner, pod_uid=uid, qos_class=qos or "guaranteed"
    )
    return pod.named(f"pod {uid}")


def _container(group: Workload, part: str, outer: Sequence[str], inner: str) -> Workload | None:
    if lxc := _LXC.fullmatch(part):
        return replace(group, kind="container", runtime="lxc", inner=inner).named(lxc["name"])
    found = _runtime_and_id(part, outer)
    if found is None:
        return None
    container = replace(
        group,
        kind="container",
        inner=inner,
        systemd_unit=part if part.endswith(".scope") else None,
        runtime=found[0],
        container_id=found[1],
    )
    return container.named(short_name(container))


def _runtime_and_id(part: str, outer: Sequence[str]) -> tuple[str | None, str] | None:
    if match := _SCOPE.fullmatch(part) or _COLONS.fullmatch(part):
        return _RUNTIMES[match["prefix"]], match["id"]
    if _BARE_ID.fullmatch(part):
        return "docker" if outer[-1:] == ["docker"] else None, part
    return None


def _unit(group: Workload, part: str, inner: str) -> Workload | None:
    if not _UNIT.fullmatch(part) or (inner and part in _RUNTIME_SERVICES):
        return None
    # systemd puts "_" before a name that could be mistaken for a file of the cgroup.
    unit = part.removeprefix("_")
    return replace(group, kind="unit", systemd_unit=unit, inner=inner).named(unescaped(unit))


def short_name(container: Workload) -> str:
    """A container without a name: its runtime and the beginning of its id."""
    return f"{container.runtime or 'container'} {(container.container_id or '')[:12]}"


def is_unit(name: str) -> bool:
    """Whether a cgroup's name is that of a systemd unit."""
    return name.endswith(".slice") or _UNIT.fullmatch(name) is not None


def unescaped(unit: str) -> str:
    r"""Undo systemd's `\x2d`, unless that would put a control character into the name."""
    plain = _ESCAPED.sub(
        lambda run: bytes.fromhex(run[0].replace("\\x", "")).decode("utf-8", "replace"), unit
    )
    return plain if plain.isprintable() else unit
