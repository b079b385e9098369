"""Which workload a cgroup is, by the names that people know: a path gives ids, the files of runtimes their names.

Of a pod's container without such a file, the names of the kubelet's log directories, /var/log/pods/NAMESPACE_NAME_UID/.
"""

from dataclasses import replace
from pathlib import Path

from collectors.host.readings import Missing, names_in
from collectors.host.roots import inside, of_host
from collectors.host.rota import Rota
from collectors.host.runtimes import ContainerState, container_state
from collectors.host.workloads import Workload, identify, short_name

# Some 0.15 ms each, and 2 ms is what a window may take (benchmarks.names_cost).
_READINGS = 6


class Names(Rota[Workload]):
    """The names of cgroups, kept from window to window. Who is renamed has the new name after a while."""

    def __init__(self, root: Path = Path("/")) -> None:
        super().__init__(lambda path: name_workload(path, root), _is_told, _READINGS)


def _is_told(workload: Workload) -> bool | None:
    """Whether a runtime has told of a container; of what is none there is nobody to ask."""
    return None if workload.container_id is None else short_name(workload) not in workload.name


def name_workload(path: str, root: Path = Path("/")) -> Workload:
    """The workload of a cgroup, with the names that the runtimes below `root` gave it.

    It reads up to a handful of files: ask once per cgroup, not once per window.
    """
    workload = identify(path)
    if workload.container_id is None:
        return _with_pod(workload, root)
    state = container_state(workload.container_id, workload.runtime, root, path)
    if isinstance(state, Missing):
        return _with_pod(workload, root)
    known = replace(
        workload,
        runtime=state.runtime,
        pod_uid=workload.pod_uid or state.pod_uid,
        pod_name=state.pod_name,
        namespace=state.namespace,
        container_name=state.container_name or (None if state.pod_name else state.name),
        image=state.image,
        project=state.project,
        service=state.service,
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


def pod_of_uid(uid: str, root: Path = Path("/")) -> tuple[str, str] | Missing:
    """The namespace and name of a pod on this node, from the names of the kubelet's log directories."""
    root = of_host(root)
    folder = inside(root, root / "var/log/pods")
    names = [] if isinstance(folder, Missing) else names_in(folder)
    parts = (name.split("_") for name in names if name.endswith(f"_{uid}"))
    found = next((part for part in parts if len(part) == 3), None)
    return (found[0], found[1]) if found else Missing(f"no pod below {root} has the uid {uid}")
