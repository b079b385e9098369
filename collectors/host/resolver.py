"""Which cgroup a person means: one rule for every option and argument that names one.

In this order, and the first that fits decides: its path, or its directory in a mounted hierarchy; its name, which is
the last part of the path, a unit (`api` for `api.service`), a container's name, `NAMESPACE/POD[/CONTAINER]` or a pod;
what several may be called after: its image, its service in Docker Compose, or what made the pod (a Deployment, …); the
beginning of a container's id, or a PID; a process by name. What fits nothing or several things is refused, with
the candidates: two commands that guess would guess differently, and one of them freezes what it finds.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from collectors.host.hierarchy import is_within, leaf, lineage
from collectors.host.workloads import Workload, identify, is_unit, unescaped
from probes.errors import HostError, UsageError

MOST_SUGGESTIONS = 4
_ID_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_WILDCARDS = frozenset("*?[")


class Homes(NamedTuple):
    """Where the processes of a name or a PID are.

    Attributes:
        paths: Their cgroups, sorted.
        in_root: One of them is in the root cgroup.
        unseen: One of them is in a cgroup that no mounted hierarchy shows.
    """

    paths: tuple[str, ...] = ()
    in_root: bool = False
    unseen: bool = False


def _no_homes(_wanted: str) -> Homes:
    return Homes()


def _no_names(_paths: Iterable[str]) -> Mapping[str, Workload]:
    return {}


@dataclass(frozen=True)  # without slots: what is derived is kept
class Cgroups:
    """The cgroups among which one is looked for: a host's, or a recording's.

    Attributes:
        known: Their paths. What is not a path (`kernel`) is not a cgroup.
        names: Which containers and pods they are, by path; asked when a path is not enough, as it reads many files.
        homes: Where processes run; in a recording nobody knows.
        mounts: Where the hierarchies are mounted, the deepest first.
        place: Where they are, as errors say it: ` in the recording`; empty: on this host.
        listed_by: The command that lists them.
    """

    known: Iterable[str]
    names: Callable[[Iterable[str]], Mapping[str, Workload]] = _no_names
    homes: Callable[[str], Homes] = _no_homes
    mounts: tuple[Path, ...] = ()
    place: str = ""
    listed_by: str = "jostle top --once"

    @cached_property
    def paths(self) -> frozenset[str]:
        """The known cgroups and those that hold them."""
        return frozenset(above for path in self.known if path.startswith("/") for above in lineage(path))

    @cached_property
    def workloads(self) -> Mapping[str, Workload]:
        """The containers and pods among them."""
        return self.names(self.paths)

    @cached_property
    def spellings(self) -> Mapping[str, frozenset[str]]:
        """Every name that one of them goes by, and whose it is."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        stems: defaultdict[str, set[str]] = defaultdict(set)
        for path in self.paths - {"/"}:
            last = leaf(path)
            for name in (last, unescaped(last)):
                found[name].add(path)
                if is_unit(name):
                    stems[name.rpartition(".")[0]].add(path)
        for path, workload in self.workloads.items():
            for name, owner in _names_of(path, workload):
                found[name].add(owner)
        for stem, paths in stems.items():
            # As systemctl has it: without a suffix, the service is meant.
            found[stem] |= {path for path in paths if path.endswith(".service")} or paths
        return {name: frozenset(paths) for name, paths in found.items()}

    @cached_property
    def origins(self) -> Mapping[str, frozenset[str]]:
        """What containers and pods are made from: images, services of Docker Compose, owners; and who is."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for path, workload in self.workloads.items():
            for name, owner in _origins_of(path, workload):
                found[name].add(owner)
        return {name: frozenset(paths) for name, paths in found.items()}

    def shown(self, paths: Iterable[str]) -> str:
        """Some of them for a message: names, with the paths behind."""
        named = (self.workloads.get(path) for path in paths)
        return ", ".join(
            f"{workload.name} ({path})" if workload else path
            for path, workload in zip(paths, named, strict=True)
        )


def resolve(wanted: str, among: Cgroups) -> str:
    """The path of the cgroup that is meant by `wanted`; see the head of this module.

    Raises:
        UsageError: It fits none, or several; with those that were perhaps meant.
        HostError: It is a process in a cgroup that cannot be seen from here.
    """
    path = _path(wanted, among.mounts)
    if path in among.paths:
        return path
    namesakes = among.spellings.get(wanted) or among.origins.get(wanted, frozenset())
    if namesakes:
        return _only(namesakes, f"{len(namesakes)} cgroups are called {wanted}", among)
    homes = among.homes(wanted)
    if _ID_PREFIX.fullmatch(wanted):
        begun = {path for path, known in among.workloads.items() if _has_id(known, wanted)}
        if begun:  # digits alone may be both
            found = begun | set(homes.paths) if wanted.isdecimal() else begun
            return _only(found, f"{wanted} fits {len(found)} cgroups", among)
    if homes.paths:
        return _only(homes.paths, f"processes called {wanted} run in {len(homes.paths)} cgroups", among)
    _require_a_cgroup(wanted, homes)
    raise _unknown(wanted, among)


def filters(wanted: Sequence[str], among: Cgroups, *, later: bool = False) -> tuple[str, ...]:
    """What `--cgroup` filters mean: names become paths, shell patterns stay; for `matches`.

    Args:
        wanted: As they were given.
        among: What they are to match.
        later: A pattern may match nothing yet.

    Raises:
        UsageError: One of them matches nothing, or is the name of several.
    """
    return tuple(_filter(text, among, later=later) for text in wanted)


def _filter(text: str, among: Cgroups, *, later: bool) -> str:
    if _WILDCARDS.isdisjoint(text) or _path(text, among.mounts) in among.paths:
        return resolve(text, among)
    if not later:
        require_matched([text], among)
    return text


def require_matched(patterns: Iterable[str], among: Cgroups) -> None:
    """Every pattern is to match something: a typing error must not read like an all-clear.

    Raises:
        UsageError: One matches none of the cgroups; with those that were perhaps meant.
    """
    for pattern in unmatched(patterns, among.paths):
        raise _unknown(pattern, among, "cgroup that matches")


def unmatched(patterns: Iterable[str], paths: Iterable[str]) -> list[str]:
    """The patterns that match none of the paths."""
    paths = list(paths)
    return [pattern for pattern in patterns if not any(matches(path, [pattern]) for path in paths)]


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a cgroup is one of these, or below it, or fits a shell pattern by its path or its last part.

    `*` also matches `/`. A path is taken as it is too, as it may have wildcards in it.
    """
    return any(
        is_within(path, pattern)
        or fnmatchcase(path, pattern)
        or fnmatchcase(leaf(path), pattern)
        or path == f"/{pattern}"
        for pattern in patterns
    )


def workloads_among(paths: Iterable[str], name: Callable[[str], Workload]) -> dict[str, Workload]:
    """The containers and pods among cgroups. Those inside a container are its own, and the files are read once."""
    own = (path for path in paths if (w := identify(path)).kind in ("container", "pod") and not w.inner)
    return {path: name(path) for path in own}


def nearest(wanted: str, among: Cgroups) -> list[str]:
    """At most MOST_SUGGESTIONS cgroups that look like it: those that contain it, then those spelt almost so."""
    word = wanted.strip("/*? ").lower()
    if not word:
        return []
    by_spelling: dict[str, str] = {}
    for name, paths in sorted([*among.spellings.items(), *among.origins.items()]):
        by_spelling.setdefault(name.lower(), min(paths))
    for path in sorted(among.paths - {"/"}):
        by_spelling.setdefault(path.lower(), path)
    containing = [path for spelling, path in by_spelling.items() if word in spelling]
    close = get_close_matches(leaf(word), by_spelling, MOST_SUGGESTIONS)
    close += get_close_matches(f"/{word}", by_spelling, MOST_SUGGESTIONS)
    return list(dict.fromkeys([*containing, *(by_spelling[name] for name in close)]))[:MOST_SUGGESTIONS]


def _path(wanted: str, mounts: Iterable[Path]) -> str | None:
    """`/a/b` of `/a/b`, `a/b/` or, where a hierarchy is mounted at M, `M/a/b`; None of what names nothing."""
    path = posixpath.normpath(f"/{wanted.strip('/')}")
    mount = next((str(mount) for mount in mounts if is_within(path, str(mount))), "")
    inside = path[len(mount) :] or "/"
    # The root cgroup is everything: it must have been said.
    return None if inside == "/" and not wanted.startswith("/") else inside


def _names_of(path: str, workload: Workload) -> Iterator[tuple[str, str]]:
    """What else people call a container or pod, and the cgroup that they mean by it."""
    yield workload.name, path
    if workload.namespace is None or workload.pod_name is None:
        return
    pod = _pod_of(path, workload)
    yield f"{workload.namespace}/{workload.pod_name}", pod
    yield workload.pod_name, pod


def _pod_of(path: str, workload: Workload) -> str:
    """The pod's cgroup, or the container's own: containerd's own cgroups have none for the pod."""
    pod = lineage(path)[1] if workload.kind == "container" else path
    return pod if identify(pod).kind == "pod" else path


def _origins_of(path: str, workload: Workload) -> Iterator[tuple[str, str]]:
    """What it is made from, and the cgroup that people mean by it."""
    if workload.image is not None:
        # registry:5000/shop/api:1.2@sha256:… is also shop's api:1.2, and api.
        image = workload.image.partition("@")[0]
        short = leaf(image)
        for name in (workload.image, image, short, short.partition(":")[0]):
            yield name, path
    if workload.service is not None:
        yield workload.service, path
        if workload.project is not None:
            yield f"{workload.project}/{workload.service}", path
    if workload.pod_name is not None and workload.owner is not None:
        pod = _pod_of(path, workload)
        yield workload.owner, pod
        yield f"{workload.namespace}/{workload.owner}", pod


def _has_id(workload: Workload, prefix: str) -> bool:
    return workload.container_id is not None and workload.container_id.startswith(prefix)


def _only(paths: Iterable[str], many: str, among: Cgroups) -> str:
    found = sorted(paths)
    if len(found) > 1:
        more = ", …" if len(found) > MOST_SUGGESTIONS else ""
        raise UsageError(many, f"give the path of one: {among.shown(found[:MOST_SUGGESTIONS])}{more}")
    return found[0]


def _require_a_cgroup(wanted: str, homes: Homes) -> None:
    if homes.in_root:
        raise UsageError(
            f"the process {wanted} is in the root cgroup, with all that has no cgroup of its own",
            "start it in one, or ask for / as a whole",
        )
    if homes.unseen:
        raise HostError(
            f"the process {wanted} is in a cgroup that this cgroup namespace or mount does not show",
            "run jostle in the host's: nsenter -t 1 -C -m jostle …",
        )


def _unknown(wanted: str, among: Cgroups, what: str = "cgroup") -> UsageError:
    near = nearest(wanted, among)
    return UsageError(
        f"there is no {what} {wanted.strip() or 'without a name'}{among.place}",
        f"perhaps one of: {among.shown(near)}" if near else f"`{among.listed_by}` lists those that run",
    )
