"""Which cgroup a person means: by its path, by the last part of it, or by a process in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches

from collectors.host.hierarchy import leaf
from probes.errors import UsageError

MOST_SUGGESTIONS = 4


def find_cgroup(
    wanted: str, known: Iterable[str], of_processes: Callable[[str], Sequence[str]] = lambda _: ()
) -> str:
    """The path of the cgroup that is meant.

    Args:
        wanted: Its path (the slashes around it do not matter), or its last part where that is one cgroup's alone.
        known: Paths of cgroups; their ancestors are known with them.
        of_processes: Where processes of this name or PID run, which is asked when no cgroup is called so.

    Raises:
        UsageError: There is none, or more than one; with those that were perhaps meant.
    """
    paths = with_ancestors(known)
    path = "/" + wanted.strip("/")
    if path in paths:
        return path
    namesakes = sorted(found for found in paths if leaf(found) == wanted)
    if len(namesakes) == 1:
        return namesakes[0]
    if namesakes:
        raise _ambiguous(f"{len(namesakes)} cgroups are called {wanted}", namesakes)
    homes = of_processes(wanted)
    if len(homes) == 1:
        return homes[0]
    if homes:
        raise _ambiguous(f"processes called {wanted} run in {len(homes)} cgroups", homes)
    near = ", ".join(nearest(wanted, paths))
    raise UsageError(
        f"there is no cgroup {wanted}",
        f"perhaps one of: {near}" if near else "`jostle top --once` lists those that run",
    )


def _ambiguous(what: str, paths: Sequence[str]) -> UsageError:
    return UsageError(what, f"give the path of one: {', '.join(paths[:MOST_SUGGESTIONS])}")


def nearest(wanted: str, paths: Iterable[str]) -> list[str]:
    """At most MOST_SUGGESTIONS paths that look like it: those that contain it, then those spelt almost so."""
    by_spelling: dict[str, str] = {}
    for path in sorted(paths):
        by_spelling.setdefault(leaf(path).lower(), path)
        by_spelling.setdefault(path.lower(), path)
    word = wanted.strip("/").lower()
    containing = [path for spelling, path in by_spelling.items() if word and word in spelling]
    close = get_close_matches(leaf(word), by_spelling, MOST_SUGGESTIONS)
    return list(dict.fromkeys([*containing, *(by_spelling[spelling] for spelling in close)]))[
        :MOST_SUGGESTIONS
    ]


def with_ancestors(paths: Iterable[str]) -> set[str]:
    """These cgroups and those that hold them. What is no path (`kernel`) is no cgroup."""
    return {ancestor for path in paths if path.startswith("/") for ancestor in _lineage(path)}


def _lineage(path: str) -> Iterator[str]:
    while path not in {"", "/"}:
        yield path
        path = path.rpartition("/")[0]
    yield "/"
