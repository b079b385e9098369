"""What the names of containers cost a window, and whether anybody is asked for them.

    python -m benchmarks.names_cost [--containers N] [--windows N] [--new-each N]

The state of N containers is laid out below a root of its own as Docker, containerd under a kubelet, CRI-O and Podman
keep it, a quarter each. Each window all are asked for their names, as the agent does, and some have been made anew.
Times are CPU time, so that what else this machine does hardly shows. Beside them the ratio to going through the
directories of as many cgroups once, which each window takes anyway. A socket that is connected anywhere is counted.
Exits with 1 where a median window takes more than GOAL_MS, or a socket was connected.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from collectors.host.hierarchy import walk
from collectors.host.kept_names import Keeper
from collectors.host.names import Names

GOAL_MS = 2.0
_POD = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice"
_UID = "0a5f9c3e_1111_2222_3333_{:012x}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is laid out: its cgroup, its name, and the files that tell."""

    path: str
    name: str


def lay_out(root: Path, number: int, generation: int) -> Container:
    """One container's state, as the runtime of its number keeps it, and its cgroup's directory."""
    container_id = sha256(f"{number}.{generation}".encode()).hexdigest()
    uid = _UID.format(number)
    pod = _POD.format(uid=uid)
    notes = {
        **{
            f"io.kubernetes.cri.sandbox-{key}": value
            for key, value in (("uid", uid), ("name", f"api-{number}"))
        },
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.container-name": "api",
    }
    labels = {f"io.kubernetes.{key}": f"{key}-{number}" for key in ("pod.name", "container.name")}
    labels["io.kubernetes.pod.namespace"] = "shop"
    task, storage = (
        "run/containerd/io.containerd.runtime.v2.task/k8s.io",
        "run/containers/storage/overlay-containers",
    )
    path, file, document, name = (
        (
            f"/system.slice/docker-{container_id}.scope",
            f"var/lib/docker/containers/{container_id}/config.v2.json",
            {"Name": f"/web-{number}", "Config": {"Image": "web:1", "Env": ["A=" + "b" * 2000]}},
            f"web-{number}",
        ),
        (
            f"/{pod}/cri-containerd-{container_id}.scope",
            f"{task}/{container_id}/config.json",
            {"annotations": notes, "process": {"env": ["A=" + "b" * 6000]}},
            f"shop/api-{number}/api",
        ),
        (
            f"/{pod}/crio-{container_id}.scope",
            f"{storage}/{container_id}/userdata/config.json",
            {"annotations": labels, "process": {"env": ["A=" + "b" * 6000]}},
            f"shop/pod.name-{number}/container.name-{number}",
        ),
        (f"/machine.slice/libpod-{container_id}.scope", "", None, f"pod-{number}"),
    )[number % 4]
    if document is None:
        listed = root / storage / "containers.json"
        listed.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(listed.read_text()) if listed.exists() else []
        known = [each for each in known if each["names"] != [name]]
        listed.write_text(json.dumps([*known, {"id": container_id, "names": [name]}]))
    else:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(json.dumps(document))
    (root / "cgroup" / path[1:]).mkdir(parents=True)
    return Container(path, name)


def timed(work: Callable[[], object]) -> float:
    """The CPU time of something, in ms."""
    start_ns = time.process_time_ns()
    work()
    return (time.process_time_ns() - start_ns) / 1e6


def window(names: Names, paths: Sequence[str]) -> dict[str, str]:
    """What an agent does in each window: all are named, a few are looked at again."""
    found = {path: names.of(path).name for path in paths}
    names.keep(set(paths))
    return found


def main() -> int:
    """Lay out, measure and print; the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.names_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--containers", type=int, default=300)
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument(
        "--new-each", type=int, default=1, help="containers that are made anew before each window"
    )
    options = parser.parse_args()
    connected: list[object] = []
    sys.addaudithook(lambda event, about: connected.append(about) if event == "socket.connect" else None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        running = [lay_out(root, number, 0) for number in range(options.containers)]
        names, keeper = Names(root), Keeper(root)
        first_ms = timed(lambda: window(names, [each.path for each in running]))
        keeper.look([each.path for each in running])
        spent_ms, walked_ms, kept_ms = [], [], []
        for number in range(options.windows):
            for place in range(options.new_each):
                which = (number * options.new_each + place) % options.containers
                running[which] = lay_out(root, which, number + 1)
            paths = [each.path for each in running]
            spent_ms.append(timed(lambda: window(names, paths)))  # noqa: B023  called at once
            kept_ms.append(timed(lambda: keeper.look(paths)))  # noqa: B023  called at once
            walked_ms.append(timed(lambda: list(walk(root / "cgroup"))))
        wrong = [each for each in running if names.of(each.path).name != each.name]
    print(
        f"{options.containers} containers, {options.new_each} made anew in each of {options.windows} windows:"
    )
    print(f"first window, all of them new        {first_ms:8.2f} ms of CPU")
    print(f"a window: median {median(spent_ms):.2f}, longest        {max(spent_ms):8.2f} ms of CPU")
    print(f"ratio to going through their cgroups {median(spent_ms) / median(walked_ms):8.2f}")
    print(f"jostle-names.service, each 3 s       {median(kept_ms):8.2f} ms of CPU")
    print(f"sockets connected {len(connected)}, wrong names {len(wrong)}")
    return int(median(spent_ms) > GOAL_MS or bool(connected) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
