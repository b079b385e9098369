"""Which workload a cgroup is, by the names that people know.

A path gives ids; the names belonging to them come from the files of the container runtimes.
"""

from dataclasses import replace
from pathlib import Path

from collectors.host.readings import Missing
from collectors.host.runtime_state import ContainerState, container_state, pod_of_uid
from collectors.host.workloads import Workload, identify, short_name


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
