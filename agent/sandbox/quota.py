"""A CPU quota for the time of a trial: v2's `cpu.max`, v1's `cpu.cfs_quota_us`.

Source: Documentation/scheduler/sched-bwc.rst. A quota is at least 1 ms per period, of 100 ms unless the cgroup has
another.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.janitor import Janitor
from collectors.host.readings import Missing, parse_count, read_count, read_text
from probes.errors import HostError

DEFAULT_PERIOD_US = 100_000
LEAST_QUOTA_US = 1000


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one cgroup, as it was found.

    Attributes:
        file: What holds it.
        text: What stands in it.
        period_us: The period that it counts in.
        cpus: How many CPUs its processes may use: those they may run on, and no more than any quota found.
    """

    file: Path
    text: str
    period_us: int
    cpus: float

    @contextlib.contextmanager
    def capped(self, cpus: float, janitor: Janitor) -> Iterator[None]:
        """At most `cpus` CPUs within, as it was found afterwards.

        Raises:
            JostleError: It cannot be written.
        """
        quota_us = max(LEAST_QUOTA_US, round(cpus * self.period_us))
        during = f"{quota_us} {self.period_us}" if self.file.name == "cpu.max" else str(quota_us)
        with janitor.changed(self.file, during, self.text):
            yield


def find_quota(name: str, directories: Iterable[Path], allowed_cpus: int) -> Quota:
    """The quota of a cgroup, called so in messages, whose processes may run on `allowed_cpus` CPUs.

    Raises:
        HostError: None of its directories has one.
    """
    for directory in directories:
        found = _read(directory)
        if found is not None:
            # No child may have more than its ancestors: v1 refuses to write it, v2 to give it.
            lineage = (_read(each) for each in (directory, *directory.parents))
            limits = [each.quota_us / each.period_us for each in lineage if each and each.quota_us]
            return Quota(found.file, found.text, found.period_us, float(min([allowed_cpus, *limits])))
    raise HostError(
        f"the CPU use of the cgroup {name} cannot be capped: it has neither cpu.max nor cpu.cfs_quota_us",
        "enable the cpu controller for it (a unit: systemctl set-property --runtime UNIT CPUWeight=100)",
    )


def cpus_allowed(pids: Iterable[int]) -> int:
    """On how many CPUs at least one of these processes may run."""
    allowed: set[int] = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            allowed |= os.sched_getaffinity(pid)
    return len(allowed)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a cgroup's files say; `quota_us` is None where there is no limit."""

    file: Path
    text: str
    period_us: int
    quota_us: int | None


def _read(directory: Path) -> _Written | None:
    v2, v1 = read_text(directory / "cpu.max"), read_text(directory / "cpu.cfs_quota_us")
    if not isinstance(v2, Missing):
        text = v2.strip()
        limit, _, period = text.partition(" ")
        return _Written(
            directory / "cpu.max", text, parse_count(period) or DEFAULT_PERIOD_US, parse_count(limit)
        )
    if not isinstance(v1, Missing):
        text, period_us = v1.strip(), read_count(directory / "cpu.cfs_period_us")
        length_us = DEFAULT_PERIOD_US if isinstance(period_us, Missing) else period_us
        # -1, which means no limit, is not a count, nor is v2's `max`.
        return _Written(directory / "cpu.cfs_quota_us", text, length_us, parse_count(text))
    return None
