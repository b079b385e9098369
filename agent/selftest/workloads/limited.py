"""A command whose own cgroup is given a limit first.

    python -m agent.selftest.workloads.limited [--quota-pct PCT] [--period-ms MS] [--weight-pct PCT] [--idle]
        [--memory-mib MIB] [--parent] -- COMMAND [ARGUMENT...]

Only cgroups that jostle made are limited: the limit stays when the command ends, and goes with the cgroup.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.selftest.workloads.arguments import between
from collectors.host.hierarchy import cgroup_of_pid, detect_layout
from collectors.host.readings import Missing
from probes.errors import HostError

US_PER_MS, MIB = 1000, 1 << 20
DEFAULT_WEIGHT = {"v1": ("cpu.shares", 1024), "v2": ("cpu.weight", 100)}


@dataclass(frozen=True, slots=True)
class Limits:
    """What to write; None: leave it as it is. The quota is in per cent of one CPU."""

    quota_pct: float | None
    period_ms: float
    weight_pct: float | None
    idle: bool
    memory_mib: float | None
    parent: bool
    command: tuple[str, ...]


def settings(limits: Limits, kind: str) -> Iterator[tuple[str, str]]:
    """(file, text) for a cgroup of a hierarchy of this kind, `v1` or `v2`, in the order to write them."""
    if limits.quota_pct is not None:
        period_us = round(limits.period_ms * US_PER_MS)
        quota_us = round(period_us * limits.quota_pct / 100)
        if kind == "v2":
            yield "cpu.max", f"{quota_us} {period_us}"
        else:
            yield "cpu.cfs_period_us", str(period_us)
            yield "cpu.cfs_quota_us", str(quota_us)
    if limits.weight_pct is not None:
        name, whole = DEFAULT_WEIGHT[kind]
        yield name, str(max(1, round(whole * limits.weight_pct / 100)))
    if limits.idle:
        yield "cpu.idle", "1"


def memory_settings(limits: Limits, kind: str) -> Iterator[tuple[str, str]]:
    """The same for the memory controller."""
    if limits.memory_mib is not None:
        name = "memory.max" if kind == "v2" else "memory.limit_in_bytes"
        yield name, str(round(limits.memory_mib * MIB))


def own_directory(controller: str = "cpu") -> tuple[Path, str]:
    """This process's cgroup in the hierarchy of a controller, cpu or memory, and that hierarchy's kind.

    Raises:
        HostError: There is no such hierarchy, or the cgroup is not one that jostle made.
    """
    layout = detect_layout()
    on_v1 = layout.v1_mounts.get(controller)
    mount = on_v1 or layout.v2_mount
    if mount is None or (controller == "cpu" and layout.cpu_on is None):
        raise HostError(f"no mounted cgroup hierarchy has the {controller} controller", "mount one")
    kind = "v1" if on_v1 else "v2"
    membership = cgroup_of_pid(os.getpid(), layout)
    if isinstance(membership, Missing):
        raise HostError(membership.reason, "mount /proc")
    # Those of an experiment have one path in all hierarchies.
    path = (membership.v1_cpu if layout.cpu_on == "v1" else membership.v2) or "/"
    if not re.fullmatch(r"(/.*)?/jostle-[^/]+/[^/]+", path):
        raise HostError(
            f"the cgroup {path} is none of jostle's, whose limits go with it", "run it in a trial"
        )
    return mount / path[1:], kind


def parse_arguments(arguments: Sequence[str] | None) -> Limits:
    """The limits that the command line asks for; exits 2 on bad usage."""
    parser = argparse.ArgumentParser(
        "python -m agent.selftest.workloads.limited", description="Limit and run."
    )
    option = parser.add_argument
    option("--quota-pct", type=between(0.1, 1e6), help="CPU time in per cent of one CPU")
    option("--period-ms", type=between(1.0, 1000.0), default=100.0, help="in each of these periods")
    option("--weight-pct", type=between(0.01, 1e4), help="weight in per cent of the usual one")
    option("--idle", action="store_true", help="run only when nobody else wants to")
    option("--memory-mib", type=between(1.0, 2.0**20), help="memory that it may have")
    option("--parent", action="store_true", help="limit the parent cgroup instead of its own")
    option("command", nargs="+", help="what to run")
    values = vars(parser.parse_args(arguments))
    return Limits(**{**values, "command": tuple(values["command"])})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the limits and become the command; returns only when that fails."""
    limits = parse_arguments(arguments)
    try:
        for controller, wanted in (("cpu", settings), ("memory", memory_settings)):
            if any(wanted(limits, "v2")):
                directory, kind = own_directory(controller)
                directory = directory.parent if limits.parent else directory
                for name, text in wanted(limits, kind):
                    (directory / name).write_text(text, encoding="ascii")
        os.execvp(limits.command[0], limits.command)  # noqa: S606  the words are the caller's, no shell wanted
    except (OSError, HostError) as error:
        print(f"limited: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
