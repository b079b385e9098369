"""Which workload a cgroup is, by the names that people know: a path gives ids, the files of runtimes their names.

No daemon is asked:

| runtime | file |
|---|---|
| Docker | /var/lib/docker/containers/ID/config.v2.json |
| containerd | /run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json (k3s: below /run/k3s) |
| CRI-O | /run/containers/storage/overlay-containers/ID/userdata/config.json |
| kubelet | /var/log/pods/NAMESPACE_NAME_UID/ |

Tenants choose much of the content: files must be small, regular and inside the root, and values text.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from collectors.host.readings import Missing, missing_because, names_in
from collectors.host.workloads import Workload, identify, short_name

MAX_STATE_BYTES = 1 << 20
MAX_NAME_CHARS = 253  # of a Kubernetes object name

# Where each runtime keeps the state of its containers, below the root.
STATE_FOLDERS = {
    "docker": ("var/lib/docker/containers",),
    "containerd": (
        "run/containerd/io.containerd.runtime.v2.task",
        "run/k3s/containerd/io.containerd.runtime.v2.task",
    ),
    "cri-o": ("run/containers/storage/overlay-containers",),
}


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Names as the runtime has them; None where it has none. A pod's sandbox has no container name."""

    runtime: str
    name: str | None = None
    pod_uid: str | None = None
    pod_name: str | None = None
    namespace: str | None = None
    container_name: str | None = None


def name_workload(path: str, root: Path = Path("/")) -> Workload:
    """The workload of a cgroup, with the names that the runtimes below `root` gave it.

    It reads up to a handful of files: ask once per cgroup, not once per window.
    """
    workload = identify(path)
    if workload.container_id is None:
        return _with_pod(workload, root)
    state = container_state(workload.container_id, workload.runtime, root)
    if isinstance(state, Missing):
        return _with_pod(workload, root)
    known = replace(
        workload,
        runtime=state.runtime,
        pod_uid=workload.pod_uid or state.pod_uid,
        pod_name=state.pod_name,
        namespace=state.namespace,
        container_name=state.container_name,
    )
    return known.named(_container_name(known, state))


def _container_name(workload: Workload, state: ContainerState) -> str:
    if workload.pod_name and workload.namespace:
        pod = f"{workload.namespace}/{workload.pod_name}"
        return f"{pod}/{workload.container_name}" if workload.container_name else f"{pod} (sandbox)"
    return state.name or short_name(workload)


def _with_pod(workload: Workload, root: Path) -> Workload:
    """A pod, or a container of a pod that has no state of its own, with the names of the pod."""
    if workload.pod_uid is None or workload.kind not in ("pod", "container"):
        return workload
    found = pod_of_uid(workload.pod_uid, root)
    if isinstance(found, Missing):
        return workload
    namespace, pod = found
    named = replace(workload, namespace=namespace, pod_name=pod)
    container = f"/{short_name(workload)}" if workload.container_id else ""
    return named.named(f"{namespace}/{pod}{container}")


def container_state(
    container_id: str, runtime: str | None, root: Path = Path("/")
) -> ContainerState | Missing:
    """What the given runtime, or else any, knows of a container.

    The id must be known to be one (64 hexadecimal digits): it becomes part of paths.
    """
    readers = _READERS if runtime is None else {runtime: _READERS.get(runtime, _unknown)}
    states = (read(container_id, root) for read in readers.values())
    return next((state for state in states if state is not None), None) or Missing(
        f"no runtime below {root} has readable state of container {container_id}"
    )


def pod_of_uid(uid: str, root: Path = Path("/")) -> tuple[str, str] | Missing:
    """The namespace and name of a pod on this node, from the names of the kubelet's log directories."""
    folder = _inside(root, root / "var/log/pods")
    names = [] if isinstance(folder, Missing) else names_in(folder)
    parts = (name.split("_") for name in names if name.endswith(f"_{uid}"))
    found = next((part for part in parts if len(part) == 3), None)
    return (found[0], found[1]) if found else Missing(f"no pod below {root} has the uid {uid}")


def _docker(container_id: str, root: Path) -> ContainerState | None:
    document = _read_json(root, f"{STATE_FOLDERS['docker'][0]}/{container_id}/config.v2.json")
    if document is None:
        return None
    labels = _mapping(_mapping(document.get("Config")).get("Labels"))
    name = _text(document.get("Name"))
    return _from_kubelet_labels("docker", labels, name.lstrip("/") if name else None)


def _containerd(container_id: str, root: Path) -> ContainerState | None:
    for base in STATE_FOLDERS["containerd"]:
        for namespace in names_in(root / base):
            document = _read_json(root, f"{base}/{namespace}/{container_id}/config.json")
            if document is not None:
                notes = _mapping(document.get("annotations"))
                return ContainerState(
                    runtime="containerd",
                    pod_uid=_text(notes.get("io.kubernetes.cri.sandbox-uid")),
                    pod_name=_text(notes.get("io.kubernetes.cri.sandbox-name")),
                    namespace=_text(notes.get("io.kubernetes.cri.sandbox-namespace")),
                    container_name=_text(notes.get("io.kubernetes.cri.container-name")),
                )
    return None


def _crio(container_id: str, root: Path) -> ContainerState | None:
    document = _read_json(root, f"{STATE_FOLDERS['cri-o'][0]}/{container_id}/userdata/config.json")
    return None if document is None else _from_kubelet_labels("cri-o", _mapping(document.get("annotations")))


def _unknown(_container_id: str, _root: Path) -> None:
    return None


_READERS: Mapping[str, Callable[[str, Path], ContainerState | None]] = {
    "docker": _docker,
    "containerd": _containerd,
    "cri-o": _crio,
}


def _from_kubelet_labels(
    runtime: str, labels: Mapping[str, object], name: str | None = None
) -> ContainerState:
    container = _text(labels.get("io.kubernetes.container.name"))
    return ContainerState(
        runtime=runtime,
        name=name,
        pod_uid=_text(labels.get("io.kubernetes.pod.uid")),
        pod_name=_text(labels.get("io.kubernetes.pod.name")),
        namespace=_text(labels.get("io.kubernetes.pod.namespace")),
        container_name=None if container == "POD" else container,  # the sandbox
    )


def _read_json(root: Path, relative: str) -> Mapping[str, object] | None:
    content = _read_inside(root, root / relative)
    if isinstance(content, Missing):
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _read_inside(root: Path, path: Path) -> bytes | Missing:
    """A regular file of bounded size; not through a symbolic link that leads out of the root."""
    real = _inside(root, path)
    if isinstance(real, Missing):
        return real
    try:
        # Without O_NONBLOCK a named pipe would hold the agent for ever.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Missing(f"{path} is not a regular file")
            content = file.read(MAX_STATE_BYTES + 1)
    except OSError as error:
        return missing_because(path, error)
    return (
        content
        if len(content) <= MAX_STATE_BYTES
        else Missing(f"{path} is larger than {MAX_STATE_BYTES} bytes")
    )


def _inside(root: Path, path: Path) -> Path | Missing:
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        return missing_because(path, error)
    except RuntimeError as error:  # a loop of links, before Python 3.13
        return Missing(f"{path} cannot be read: {error}")
    return real if real.is_relative_to(root.resolve()) else Missing(f"{path} leads out of {root}")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS else None
