"""Who one cgroup waited for, schema `jostle.blame/1`: the parts of its wait, which add up to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent import homeless
from agent.attribution import sampled_pct
from agent.documents import decode, encode
from agent.recorder import totals
from agent.runfile import Run
from collectors import histogram
from collectors.sched import KERNEL, OTHER, REST, CgroupWindow, subtree
from collectors.workloads import identify

SCHEMA = "jostle.blame/1"
NS_PER_MS = 1e6


class Charge(StrEnum):
    """What a part of a wait is charged to."""

    CGROUP = "cgroup"
    KERNEL = "kernel"  # kernel threads
    OTHER = "other"  # cgroups that had no slot in the probe
    REST = "rest"  # cgroups that were waited for too little to be told apart
    SELF = "self"  # its own threads
    THROTTLED = "throttled"  # its quota, or an ancestor's
    WAKEUP = "wakeup"  # its CPU was idle, and took that long to begin
    UNATTRIBUTED = "unattributed"  # nobody: what the probe lost track of


@dataclass(frozen=True, slots=True)
class WaitPart:
    """One part of the wait. `preemptions` counts how often that one took the CPU away; null: it has no such count."""

    charge: Charge
    name: str
    wait_ms: float
    share_pct: float
    preemptions: int | None
    cgroup: str | None = None  # its path, where it is a cgroup


@dataclass(frozen=True, slots=True)
class BlameSummary:
    """One cgroup, with all below it as one, over a stretch of time; times are summed over its tasks.

    `parts` are in order of their share; their waits add up to `wait_ms` and their shares to 100.
    """

    cgroup: str
    name: str
    duration_s: float
    tier: str
    run_ms: float
    wait_ms: float
    wait_p99_ns: float | None  # null when it never waited, or the tier keeps no histograms
    preempted: int  # times that another cgroup took the CPU away
    parts: tuple[WaitPart, ...]
    partial: bool
    warnings: tuple[str, ...]
    sampled_pct: float | None = (
        None  # of the wait, shared out by sample; left out: not known of this recording
    )

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "BlameSummary":
        """The inverse.

        Raises:
            UsageError: another schema, or a key that is missing or wrong, by name.
        """
        return decode(cls, document, SCHEMA)


def path_name(path: str) -> str:
    """What people call a cgroup, as far as its path says."""
    return identify(path).name


def blame(run: Run, path: str, named: Callable[[str], str] = path_name) -> BlameSummary:
    """Who the cgroup `path` waited for in a recording; all zero where it never ran."""
    whole = subtree(totals(run.windows), path)
    parts = sorted(_parts(whole, named), key=lambda part: -part.wait_ms)
    return BlameSummary(
        cgroup=path,
        name=named(path),
        duration_s=sum(window.duration_ns for window in run.windows) / 1e9,
        tier=run.meta.get("tier", "unknown"),
        run_ms=whole.run_ns / NS_PER_MS,
        wait_ms=sum(part.wait_ms for part in parts),
        wait_p99_ns=histogram.percentile_ns(whole.histogram, 99),
        preempted=whole.preempted_foreign,
        parts=tuple(parts),
        partial=run.partial,
        warnings=tuple(_doubts(run, path)),
        sampled_pct=sampled_pct(whole.wait_ns, whole.sampled_ns),
    )


def _parts(whole: CgroupWindow, named: Callable[[str], str]) -> Iterator[WaitPart]:
    charged: list[tuple[Charge, str, int, int | None]] = [
        (_charge(name), name, wait.wait_ns, wait.preemptions) for name, wait in whole.waited_for.items()
    ]
    charged += [
        (Charge.SELF, Charge.SELF, whole.self_ns, whole.preempted_own),
        (Charge.THROTTLED, Charge.THROTTLED, whole.throttled_ns, whole.preempted_throttled),
        (Charge.WAKEUP, Charge.WAKEUP, whole.wakeup_ns, None),
        (Charge.UNATTRIBUTED, Charge.UNATTRIBUTED, whole.unattributed_ns, None),
    ]
    all_ns = sum(wait_ns for _, _, wait_ns, _ in charged)
    for charge, name, wait_ns, preemptions in charged:
        if wait_ns:
            is_cgroup = charge is Charge.CGROUP
            yield WaitPart(
                charge=charge,
                name=named(name) if is_cgroup else name,
                wait_ms=wait_ns / NS_PER_MS,
                share_pct=100 * wait_ns / all_ns,
                preemptions=preemptions,
                cgroup=name if is_cgroup else None,
            )


def _charge(name: str) -> Charge:
    return {KERNEL: Charge.KERNEL, OTHER: Charge.OTHER, REST: Charge.REST}.get(name, Charge.CGROUP)


def _doubts(run: Run, path: str) -> Iterator[str]:
    yield from run.warnings
    if run.meta.get("tier") in {"schedstat", "psi"}:
        yield "measured without eBPF: waits are sums, charged to nobody"
    shed = sum("blame" in window.shed for window in run.windows)
    if shed:
        yield (
            f"in {shed} of {len(run.windows)} windows blame was left out to keep the overhead budget: "
            "those waits are unattributed"
        )
    yield from homeless.told(run.windows)
    if globs := run.meta.get("globs"):
        yield f"only cgroups that match {globs} were recorded: what else is below {path} is not in it"
