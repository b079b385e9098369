"""What disks, queues and reclaims have in common: uses by device or limit and cgroup, amounts by who is charged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from collectors.host.hierarchy import is_within

OTHER = "other"
"""In the place of a path: of cgroups that have none, or no slot."""

Figures = TypeVar("Figures")
Use = TypeVar("Use")


def summed(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """By name the sum of its amounts."""
    found: dict[str, int] = {}
    for name, amount in amounts:
        found[name] = found.get(name, 0) + amount
    return found


def renamed(amounts: Mapping[str, int], names: Mapping[str, str]) -> dict[str, int]:
    """Amounts under other names; those of one name are one."""
    return summed((names.get(name, name), amount) for name, amount in amounts.items())


def grown(before: Mapping[int, int], after: Mapping[int, int], paths: Mapping[int, str]) -> dict[str, int]:
    """By path what grew between two snapshots, of what did."""
    growth = ((key, amount - before.get(key, 0)) for key, amount in after.items())
    return summed((paths.get(key, OTHER), amount) for key, amount in growth if amount > 0)


def within(
    before: Mapping[str, Mapping[int, Figures]],
    after: Mapping[str, Mapping[int, Figures]],
    paths: Mapping[int, str],
    use_of: Callable[[Figures | None, Figures], Use | None],
    add: Callable[[Sequence[Use]], Use],
) -> dict[str, dict[str, Use]]:
    """By device and path what was used between two snapshots.

    Args:
        before: By device and key.
        after: The same, later.
        paths: By key; those without one are OTHER together.
        use_of: What figures grew by from those before them, if there were any; None: by nothing.
        add: Sums it.
    """
    found: dict[str, dict[str, Use]] = {}
    for device, cgroups in after.items():
        for key, figures in cgroups.items():
            use = use_of(before.get(device, {}).get(key), figures)
            if use is not None:
                by_path, path = found.setdefault(device, {}), paths.get(key, OTHER)
                by_path[path] = add([by_path[path], use]) if path in by_path else use
    return found


def over_time(
    windows: Iterable[Mapping[str, Mapping[str, Use]]], add: Callable[[Sequence[Use]], Use]
) -> dict[str, dict[str, Use]]:
    """By device and path what was used in windows that follow one another."""
    found: dict[str, dict[str, list[Use]]] = {}
    for devices in windows:
        for device, cgroups in devices.items():
            for path, use in cgroups.items():
                found.setdefault(device, {}).setdefault(path, []).append(use)
    return {device: {path: add(uses) for path, uses in cgroups.items()} for device, cgroups in found.items()}


def of_subtree(windows: Iterable[Mapping[str, Mapping[str, Use]]], path: str) -> Iterator[Use]:
    """All uses of a cgroup and everything below it."""
    for devices in windows:
        for cgroups in devices.values():
            yield from (use for name, use in cgroups.items() if is_within(name, path))


def own_and_others(amounts: Mapping[str, int], path: str) -> tuple[int, dict[str, int]]:
    """What is charged to a cgroup and everything below it, and what to others."""
    others = {name: amount for name, amount in amounts.items() if not is_within(name, path)}
    return sum(amounts.values()) - sum(others.values()), others
