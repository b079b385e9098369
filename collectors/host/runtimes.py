"""What container runtimes know of a container: where they keep their state on this host, and how to read it.

No daemon is asked while files tell:

| runtime | file, below the place where it keeps its state |
|---|---|
| Docker | containers/ID/config.v2.json |
| containerd, nerdctl | NAMESPACE/ID/config.json |
| CRI-O | ID/userdata/config.json |
| Podman | containers.json, volatile-containers.json |

Who may not read these has what `jostle-names.service` wrote down of them (`kept_names`).

The places are those of the packages (k3s, k0s, MicroK8s and snaps too), then those that configuration files name, then
those on the command lines of daemons that run, and last what Docker's socket says.

Tenants choose much of the content: files must be small, regular and inside the root, and values text. What belongs to
an ordinary user (rootless runtimes) is believed about the cgroups of that user alone, and a process inside a container
is no daemon.
"""

import contextlib
import json
import os
import socket
import stat
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from collectors.host.readings import Missing, missing_because, names_in, read_text
from collectors.host.roots import inside, of_host
from collectors.host.workloads import identify
from probes import bounded_json

MAX_STATE_BYTES = 4 << 20  # Podman has all containers in one file, some 700 bytes each
MAX_PARSED_BYTES = 32 << 20  # of 4 MiB of Podman's: 15; the service that reads them may have 64 MB
MAX_NAME_CHARS = 253  # of a Kubernetes object name
SEARCHED_EVERY_S = 60
_SOCKET_WITHIN_S = 1.0
KEPT = Path("run/jostle-names/names.json")
_TASKS = "io.containerd.runtime.v2.task"

RuntimeKind = Literal["docker", "containerd", "storage"]


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Names as the runtime has them; None where it has none. A pod's sandbox has no container name."""

    runtime: str
    name: str | None = None
    pod_uid: str | None = None
    pod_name: str | None = None
    namespace: str | None = None
    container_name: str | None = None
    image: str | None = None
    project: str | None = None
    service: str | None = None


_STATE_NAMES = tuple(each.name for each in fields(ContainerState) if each.name != "runtime")


@dataclass(frozen=True, slots=True)
class RuntimeFolder:
    """A directory below the root where a runtime keeps its state; `storage` is that of Podman and CRI-O."""

    kind: RuntimeKind
    folder: str


_PACKAGED = (
    RuntimeFolder("docker", "var/lib/docker"),
    RuntimeFolder("docker", "var/snap/docker/common/var-lib-docker"),
    *(
        RuntimeFolder("containerd", f"{state}/{_TASKS}")
        for state in (
            *("run/containerd", "run/k3s/containerd", "run/k0s/containerd"),
            "var/snap/microk8s/common/run/containerd",
        )
    ),
    RuntimeFolder("storage", "run/containers/storage/overlay-containers"),
    RuntimeFolder("storage", "var/lib/containers/storage/overlay-containers"),
)
_DOCKER_CONFIGURATIONS = ("etc/docker/daemon.json", "var/snap/docker/current/config/daemon.json")
_DAEMONS = frozenset({"dockerd", "containerd", "conmon", "crio"})


def container_state(
    container_id: str, runtime: str | None, root: Path = Path("/"), path: str = "/"
) -> ContainerState | Missing:
    """What the given runtime, or else any, knows of a container.

    Args:
        container_id: 64 hexadecimal digits, as it becomes part of paths.
        runtime: As in `Workload`.
        root: Where the host's files are.
        path: The container's cgroup, for whose user files of that user are believed.
    """
    root = of_host(root)
    told = state_told_by_runtimes(container_id, runtime, root, path)
    return _kept(root).get(path, told) if isinstance(told, Missing) else told


def state_told_by_runtimes(
    container_id: str, runtime: str | None, root: Path, path: str
) -> ContainerState | Missing:
    """`container_state` by the runtimes' own files alone."""
    for places in _places(root):
        for place in places:
            if _may_tell(place, runtime) and _is_believed(root, place, path):
                state = _READERS[place.kind](container_id, root, place.folder)
                if state is not None:
                    return replace(state, runtime=runtime) if runtime == "podman" else state
    return Missing(f"no runtime below {root} has readable state of container {container_id}")


def runtimes_found(root: Path = Path("/")) -> list[str]:
    """The runtimes whose state can be read here."""
    told = {"docker": "docker", "containerd": "containerd", "storage": "podman or cri-o"}
    root = of_host(root)
    folders = {
        told[place.kind]: None
        for places in _places(root)
        for place in places
        if _names_in(root, place.folder + ("/containers" if place.kind == "docker" else ""))
    }
    return [*folders, *(["jostle-names.service"] if not folders and _kept(root) else [])]


def _may_tell(place: RuntimeFolder, runtime: str | None) -> bool:
    kinds: Mapping[str, RuntimeKind] = {
        "docker": "docker",
        "containerd": "containerd",
        "cri-o": "storage",
        "podman": "storage",
    }
    return runtime is None or kinds.get(runtime) == place.kind


def _is_believed(root: Path, place: RuntimeFolder, path: str) -> bool:
    try:
        owner = _owner(root, place.folder, _period())
    except OSError:
        return False
    return owner == 0 or f"user-{owner}.slice" in path.split("/")


@lru_cache(maxsize=64)
def _owner(root: Path, folder: str, _period: int) -> int:
    """Whose directory a place is; one that is not there, which raises OSError, may be there the next time.

    Nobody's (-1) where others may write, as in /tmp, though that is root's: anybody may call it their data's root.
    """
    real = inside(root, root / folder)
    if isinstance(real, Missing):
        raise FileNotFoundError(real.reason)
    found = real.stat()
    return -1 if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else found.st_uid


def _period() -> int:
    """The same for as long as the places are not searched again."""
    return int(time.monotonic() // SEARCHED_EVERY_S)


def _places(root: Path) -> Iterator[Sequence[RuntimeFolder]]:
    """Places in the order in which they are looked at; what is dearer to find comes later."""
    period = _period()
    yield _PACKAGED
    yield _configured(root, period)
    yield _running(root, period)
    yield _by_socket(root, period)


@lru_cache(maxsize=4)
def _configured(root: Path, _period: int) -> tuple[RuntimeFolder, ...]:
    """Those that configuration files name, and those in the homes of this host's users."""
    found = [place for file in _DOCKER_CONFIGURATIONS for place in _docker_root(root, file)]
    found += _containerd_state(root, "etc/containerd/config.toml")
    storage = _toml(root, "etc/containers/storage.conf").get("storage")
    crio = _mapping(_toml(root, "etc/crio/crio.conf").get("crio"))
    for table, keys in ((_mapping(storage), ("graphroot", "runroot")), (crio, ("root", "runroot"))):
        found += [
            RuntimeFolder("storage", f"{folder}/overlay-containers")
            for key in keys
            if (folder := _folder(table.get(key)))
        ]
    for home in ("root", *(f"home/{name}" for name in names_in(root / "home"))):
        found += _of_home(root, home)
    return tuple(found)


def _of_home(root: Path, home: str) -> list[RuntimeFolder]:
    return [
        *_docker_root(root, f"{home}/.config/docker/daemon.json"),
        RuntimeFolder("docker", f"{home}/.local/share/docker"),
        RuntimeFolder("storage", f"{home}/.local/share/containers/storage/overlay-containers"),
    ]


@lru_cache(maxsize=4)
def _running(root: Path, _period: int) -> tuple[RuntimeFolder, ...]:
    """Those on the command lines of daemons that run outside containers."""
    found: list[RuntimeFolder] = []
    for pid in filter(str.isdecimal, names_in(root / "proc")):
        process = root / "proc" / pid
        name = read_text(process / "comm")
        if isinstance(name, Missing) or name.strip() not in _DAEMONS or _in_container(process):
            continue
        words = _words(process / "cmdline")
        found += _of_daemon(root, name.strip(), words, _words(process / "environ"))
    return tuple(dict.fromkeys(found))


def _of_daemon(
    root: Path, name: str, words: Sequence[str], environment: Sequence[str]
) -> Iterator[RuntimeFolder]:
    if name == "conmon":  # -b BUNDLE: STORAGE/overlay-containers/ID/userdata
        bundle = _folder(_option(words, "-b", "--bundle"))
        if bundle is not None and bundle.count("/") > 1:
            yield RuntimeFolder("storage", bundle.rsplit("/", 2)[0])
        return
    configuration = _folder(_option(words, "--config-file", "-c", "--config"))
    if name == "containerd":
        state = _folder(_option(words, "--state"))
        yield from [RuntimeFolder("containerd", f"{state}/{_TASKS}")] if state else []
        yield from _containerd_state(root, configuration) if configuration else []
    elif name == "dockerd":
        folder = _folder(_option(words, "--data-root", "-g", "--graph"))
        yield from [RuntimeFolder("docker", folder)] if folder else []
        yield from _docker_root(root, configuration) if configuration else []
        homes = (_folder(word.partition("=")[2]) for word in environment if word.startswith("HOME="))
        yield from (place for home in homes if home for place in _of_home(root, home))


def _option(words: Sequence[str], *names: str) -> str | None:
    """The value of an option on a command line, as `--name VALUE` or `--name=VALUE`."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in names:
            return following
        if word.partition("=")[0] in names:
            return word.partition("=")[2]
    return None


def _words(file: Path) -> list[str]:
    text = read_text(file)
    return [] if isinstance(text, Missing) else text.split("\0")


def _in_container(process: Path) -> bool:
    lines = read_text(process / "cgroup")
    paths = [] if isinstance(lines, Missing) else [line.split(":", 2)[-1] for line in lines.splitlines()]
    return any(identify(path).kind in {"container", "pod"} for path in paths)


@lru_cache(maxsize=4)
def _by_socket(root: Path, _period: int) -> tuple[RuntimeFolder, ...]:
    """What Docker answers to `GET /info`, for an agent that sees neither its configuration nor its process.

    In HTTP/1.0, whose answer ends with the connection: `http.client` would keep 5 MB of OpenSSL in every process.
    """
    with (
        contextlib.suppress(OSError, ValueError, RecursionError),
        # A sandbox may forbid sockets, as the names' unit does.
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.settimeout(_SOCKET_WITHIN_S)
        connection.connect(str(root / "run/docker.sock"))
        connection.sendall(b"GET /info HTTP/1.0\r\nHost: docker\r\n\r\n")
        with connection.makefile("rb") as answer:
            body = answer.read(MAX_STATE_BYTES).partition(b"\r\n\r\n")[2]
            told = bounded_json.parse(body, MAX_PARSED_BYTES)
        folder = _folder(_mapping(told).get("DockerRootDir"))
        return (RuntimeFolder("docker", folder),) if folder else ()
    return ()


def _docker_root(root: Path, file: str) -> list[RuntimeFolder]:
    told = _read_json(root, file) or {}
    folders = (_folder(told.get(key)) for key in ("data-root", "graph"))
    return [RuntimeFolder("docker", folder) for folder in folders if folder]


def _containerd_state(root: Path, file: str) -> list[RuntimeFolder]:
    state = _folder(_toml(root, file).get("state"))
    return [RuntimeFolder("containerd", f"{state}/{_TASKS}")] if state else []


def _toml(root: Path, file: str) -> Mapping[str, object]:
    content = _read_inside(root, root / file)
    try:
        return {} if isinstance(content, Missing) else tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return {}


def _folder(value: object) -> str | None:
    """An absolute path as one below the root."""
    is_path = isinstance(value, str) and value.startswith("/") and "\0" not in value
    return os.path.normpath(str(value)).strip("/") or None if is_path else None


def _docker(container_id: str, root: Path, folder: str) -> ContainerState | None:
    document = _read_json(root, f"{folder}/containers/{container_id}/config.v2.json")
    if document is None:
        return None
    configuration = _mapping(document.get("Config"))
    labels = _mapping(configuration.get("Labels"))
    name = _text(document.get("Name"))
    return replace(
        _from_kubelet_labels("docker", labels),
        name=name.lstrip("/") if name else None,
        image=_text(configuration.get("Image")),
        project=_text(labels.get("com.docker.compose.project")),
        service=_text(labels.get("com.docker.compose.service")),
    )


def _containerd(container_id: str, root: Path, folder: str) -> ContainerState | None:
    for namespace in _names_in(root, folder):
        document = _read_json(root, f"{folder}/{namespace}/{container_id}/config.json")
        if document is not None:
            notes = _mapping(document.get("annotations"))
            return ContainerState(
                runtime="containerd",
                name=_text(notes.get("nerdctl/name")),
                pod_uid=_text(notes.get("io.kubernetes.cri.sandbox-uid")),
                pod_name=_text(notes.get("io.kubernetes.cri.sandbox-name")),
                namespace=_text(notes.get("io.kubernetes.cri.sandbox-namespace")),
                container_name=_text(notes.get("io.kubernetes.cri.container-name")),
                image=_text(notes.get("io.kubernetes.cri.image-name")),
            )
    return None


def _storage(container_id: str, root: Path, folder: str) -> ContainerState | None:
    document = _read_json(root, f"{folder}/{container_id}/userdata/config.json")
    notes = _mapping((document or {}).get("annotations"))
    if "io.kubernetes.pod.name" in notes:
        image = _text(notes.get("io.kubernetes.cri-o.ImageName"))
        return replace(_from_kubelet_labels("cri-o", notes), image=image)
    for file in ("containers.json", "volatile-containers.json"):
        if (found := _podman_containers(root, f"{folder}/{file}").get(container_id)) is not None:
            name, metadata = found
            return ContainerState("podman", name=name, image=_podman_image(metadata))
    return None if document is None else ContainerState("cri-o")


def _podman_containers(root: Path, file: str) -> Mapping[str, tuple[str, str]]:
    real = inside(root, root / file)
    if isinstance(real, Missing):
        return {}
    try:
        about = real.stat()
    except OSError:
        return {}
    return _read_podman(root, file, (about.st_mtime_ns, about.st_ino))


@lru_cache(maxsize=8)
def _read_podman(root: Path, file: str, _change: tuple[int, int]) -> Mapping[str, tuple[str, str]]:
    """Names and metadata by id, of containers-storage's list: read when it has changed."""
    content = _read_inside(root, root / file)
    try:
        entries = [] if isinstance(content, Missing) else bounded_json.parse(content, MAX_PARSED_BYTES)
    except (ValueError, RecursionError):
        return {}
    return {
        str(entry.get("id")): (name, metadata if isinstance(metadata := entry.get("metadata"), str) else "")
        for entry in (map(_mapping, entries) if isinstance(entries, list) else ())
        if (names := entry.get("names")) and isinstance(names, list) and (name := _text(names[0]))
    }


def _podman_image(metadata: str) -> str | None:
    try:
        return _text(_mapping(json.loads(metadata)).get("image-name"))
    except (ValueError, RecursionError):
        return None


_READERS = {"docker": _docker, "containerd": _containerd, "storage": _storage}


def _from_kubelet_labels(runtime: str, labels: Mapping[str, object]) -> ContainerState:
    container = _text(labels.get("io.kubernetes.container.name"))
    return ContainerState(
        runtime=runtime,
        pod_uid=_text(labels.get("io.kubernetes.pod.uid")),
        pod_name=_text(labels.get("io.kubernetes.pod.name")),
        namespace=_text(labels.get("io.kubernetes.pod.namespace")),
        container_name=None if container == "POD" else container,  # the sandbox
    )


def _kept(root: Path) -> Mapping[str, ContainerState]:
    """States by cgroup, as root wrote them down for us."""
    try:
        about = (root / KEPT).stat()
    except OSError:
        return {}
    return _read_kept(root, (about.st_mtime_ns, about.st_ino)) if about.st_uid == 0 else {}


@lru_cache(maxsize=2)
def _read_kept(root: Path, _change: tuple[int, int]) -> Mapping[str, ContainerState]:
    states = {path: _mapping(state) for path, state in (_read_json(root, str(KEPT)) or {}).items()}
    return {
        path: ContainerState(runtime, **{name: _text(state.get(name)) for name in _STATE_NAMES})
        for path, state in states.items()
        if (runtime := _text(state.get("runtime")))
    }


def _names_in(root: Path, folder: str) -> list[str]:
    real = inside(root, root / folder)
    return [] if isinstance(real, Missing) else names_in(real)


def _read_json(root: Path, relative: str) -> Mapping[str, object] | None:
    content = _read_inside(root, root / relative)
    if isinstance(content, Missing):
        return None
    try:
        document = bounded_json.parse(content, MAX_PARSED_BYTES)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _read_inside(root: Path, path: Path) -> bytes | Missing:
    """A regular file of bounded size; not through a symbolic link that leads out of the root."""
    real = inside(root, path)
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


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS else None
