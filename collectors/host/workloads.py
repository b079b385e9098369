"""Which workload a cgroup is, as far as its path says.

Paths as made by systemd (systemd.slice(5), CGROUP_DELEGATION.md), by the kubelet with either cgroup driver,
and by Docker, containerd, CRI-O, Podman, LXC and systemd-nspawn. The outermost container or unit names the
workload: what is below it may have been named by a tenant, who could otherwise pose as another's container.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from collectors.host.hierarchy import leaf

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
_LONG_ID = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")
_LXC = re.compile(r"lxc\.payload\.(?P<name>.+)")
_NSPAWN = re.compile(r"systemd-nspawn@(?P<at>.+)\.service|machine-(?!qemu\\x2d)(?P<name>.+)\.scope")
# The names that controllers give: k8s.io/apimachinery/pkg/util/rand, k8s.io/kubernetes/pkg/controller.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_OWNED = (
    re.compile(rf"(.+)-[0-9]{{8}}-{_RANDOM}{{5}}"),  # a CronJob's Job has the minute that it was due
    re.compile(rf"(.+)-{_RANDOM}{{8,10}}-{_RANDOM}{{5}}"),  # a Deployment's ReplicaSet has a hash
    re.compile(rf"(.+)-{_RANDOM}{{5}}"),  # DaemonSet, Job
    re.compile(r"(.+)-[0-9]+"),  # StatefulSet
)
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
        container_id: 64 hexadecimal digits; None for LXC and systemd-nspawn.
        runtime: `docker`, `containerd`, `cri-o`, `podman`, `lxc` or `nspawn`.
        pod_uid: With hyphens where Kubernetes has them.
        pod_name: The pod's name.
        namespace: The pod's namespace.
        container_name: The container's name, within the pod where it is in one; None for the pod's sandbox.
        qos_class: `guaranteed`, `burstable` or `besteffort`.
        image: As it was asked for, such as `registry.example/shop/api:1.2`.
        project: The project of Docker Compose, and `service` its service in it.
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
    image: str | None = None
    project: str | None = None
    service: str | None = None

    def named(self, name: str) -> "Workload":
        """The same workload under another name, to which the path inside it is added; ids in it are cut short."""
        return replace(self, name=shortened(f"{name}/{self.inner}" if self.inner else name))

    @property
    def owner(self) -> str | None:
        """What stays the same when it is made anew.

        Of a pod what its name says that made it (a Deployment, StatefulSet, DaemonSet, Job or CronJob), of a container
        the service of Docker Compose or its name, of a unit its name.
        """
        if self.pod_name is not None:
            return next(
                (found[1] for form in _OWNED if (found := form.fullmatch(self.pod_name))), self.pod_name
            )
        unit = self.systemd_unit if self.container_id is None else short_name(self)  # not 64 digits
        return self.service or self.container_name or unit


@lru_cache(1024)  # of some 30 µs each
def identify(path: str) -> Workload:
    """The workload of a cgroup, from its path alone."""
    parts = [part for part in path.split("/") if part]
    group = Workload("cgroup" if parts else "root", path, shortened(path))
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
    lxc = part if list(outer) == ["lxc"] else (_LXC.fullmatch(part) or {"name": None})["name"]
    if lxc is not None:  # before LXC 4: /lxc/NAME
        return replace(group, kind="container", runtime="lxc", container_name=lxc, inner=inner).named(lxc)
    if outer[-1:] == ["machine.slice"] and (machine := _NSPAWN.fullmatch(part)):
        name = unescaped(machine["at"] or machine["name"])
        found = replace(group, kind="container", runtime="nspawn", systemd_unit=part, inner=inner)
        return replace(found, container_name=name).named(name)
    known = _runtime_and_id(part, outer)
    if known is None:
        return None
    container = replace(
        group,
        kind="container",
        inner=inner,
        systemd_unit=part if part.endswith(".scope") else None,
        runtime=known[0],
        container_id=known[1],
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


def name_by_path(path: str) -> str:
    """What to call a cgroup of which only the path is known: a container by its id, others by their last part."""
    return identify(path).name if _LONG_ID.search(path) else leaf(path)


def shortened(text: str) -> str:
    """A text in which ids of containers are cut to the 12 digits that runtimes show."""
    return _LONG_ID.sub(r"\1", text)


def is_unit(name: str) -> bool:
    """Whether a cgroup's name is that of a systemd unit."""
    return name.endswith(".slice") or _UNIT.fullmatch(name) is not None


def unescaped(unit: str) -> str:
    r"""Undo systemd's `\x2d`, unless that would put a control character into the name."""
    plain = _ESCAPED.sub(
        lambda run: bytes.fromhex(run[0].replace("\\x", "")).decode("utf-8", "replace"), unit
    )
    return plain if plain.isprintable() else unit
