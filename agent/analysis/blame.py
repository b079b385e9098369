"""Who one cgroup waited for, schema `jostle.blame/1`: the parts of its wait, which add up to it."""

import mmap
from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from agent.analysis import untracked
from agent.analysis.untracked import sampled_pct
from agent.documents.blame import (
    BlameSummary,
    Charge,
    DiskBlame,
    MemoryBlame,
    MemoryPart,
    NetworkBlame,
    WaitPart,
)
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin
from agent.store.run_file import Run
from collectors.host.tenants import culprits
from collectors.host.workloads import identify
from collectors.windows import histogram
from collectors.windows.disks import DiskUse, disk_use
from collectors.windows.network import QueueUse, queue_use
from collectors.windows.reclaims import contest
from collectors.windows.sched import (
    KERNEL,
    NS_PER_MS,
    NS_PER_S,
    OTHER,
    REST,
    CgroupWindow,
    by_culprit,
    subtree,
    totals,
)


def path_name(path: str) -> str:
    """What people call a cgroup, as far as its path says."""
    return identify(path).name


def blame(
    run: Run, path: str, named: Callable[[str], str] = path_name, depth: int | None = None
) -> BlameSummary:
    """Who the cgroup `path` waited for in a recording, all zero where it never ran; `depth` as in `culprits`."""
    every = totals(run.windows)
    whole = by_culprit(subtree(every, path), depth)
    parts = parts_of(whole, named)
    tasks = tasks_of(run)
    parts = tuple(with_tasks(part, tasks, every) for part in parts)
    return BlameSummary(
        cgroup=path,
        name=named(path),
        duration_s=sum(window.duration_ns for window in run.windows) / NS_PER_S,
        tier=run.meta.get("tier", "unknown"),
        run_ms=whole.run_ns / NS_PER_MS,
        wait_ms=sum(part.wait_ms for part in parts),
        wait_p99_ns=histogram.percentile_ns(whole.histogram, 99),
        preempted=whole.preempted_foreign,
        parts=parts,
        partial=run.partial,
        warnings=tuple(_doubts(run, path)),
        sampled_pct=sampled_pct(whole.wait_ns, whole.sampled_ns),
        disks=tuple(_disks(run, path, named, depth)) or None,
        networks=tuple(_networks(run, path, named, depth)) or None,
        memory=_memory(run, path, named, depth),
    )


def _disks(run: Run, path: str, named: Callable[[str], str], depth: int | None) -> Iterator[DiskBlame]:
    for disk in sorted({disk for window in run.windows for disk in window.disks}):
        use = disk_use(({disk: window.disks[disk]} for window in run.windows if disk in window.disks), path)
        if not use.requests:
            continue
        use = use.renamed(culprits(use.waited_for, path, depth))
        yield DiskBlame(
            disk=disk,
            reads=use.reads,
            writes=use.writes,
            read_bytes=use.read_bytes,
            written_bytes=use.written_bytes,
            queue_ms=use.queue_ns / NS_PER_MS,
            service_ms=use.service_ns / NS_PER_MS,
            parts=_served(use, named),
        )


def _served(use: DiskUse | QueueUse, named: Callable[[str], str]) -> tuple[WaitPart, ...]:
    """Whom a device served while a cgroup's own waited, the longest first."""
    charged = {(_charge(name), name): wait_ns for name, wait_ns in use.waited_for.items()}
    charged[Charge.SELF, Charge.SELF] = use.self_ns
    charged[Charge.UNATTRIBUTED, Charge.UNATTRIBUTED] = use.unattributed_ns
    parts = (
        WaitPart(
            charge=charge,
            name=named(name) if charge is Charge.CGROUP else name,
            wait_ms=wait_ns / NS_PER_MS,
            share_pct=100 * wait_ns / sum(charged.values()),
            preemptions=None,
            cgroup=name if charge is Charge.CGROUP else None,
        )
        for (charge, name), wait_ns in charged.items()
        if wait_ns
    )
    return tuple(sorted(parts, key=lambda part: -part.wait_ms))


def _networks(run: Run, path: str, named: Callable[[str], str], depth: int | None) -> Iterator[NetworkBlame]:
    for device in sorted({device for window in run.windows for device in window.network}):
        use = queue_use(
            ({device: window.network[device]} for window in run.windows if device in window.network), path
        )
        if use.packets or use.dropped or use.retransmits:
            use = use.renamed(culprits(use.waited_for, path, depth))
            yield NetworkBlame(
                device=device,
                packets=use.packets,
                bytes=use.bytes,
                queue_ms=use.queue_ns / NS_PER_MS,
                parts=_served(use, named),
                dropped=use.dropped,
                retransmits=use.retransmits,
            )


def _memory(run: Run, path: str, named: Callable[[str], str], depth: int | None) -> MemoryBlame | None:
    found = contest((window.reclaims for window in run.windows), path)
    found = found.renamed(culprits(found.others_pages, path, depth))
    charged = {(_charge(name), name): pages for name, pages in found.others_pages.items()}
    charged[Charge.SELF, Charge.SELF] = found.own.pages
    all_pages = sum(charged.values())
    if not (all_pages or found.own_limit.pages):
        return None
    parts = (
        MemoryPart(
            charge=charge,
            name=named(name) if charge is Charge.CGROUP else name,
            reclaimed_bytes=pages * mmap.PAGESIZE,
            share_pct=100 * pages / all_pages,
            cgroup=name if charge is Charge.CGROUP else None,
        )
        for (charge, name), pages in charged.items()
        if pages
    )
    return MemoryBlame(
        own_limit_bytes=found.own_limit.pages * mmap.PAGESIZE,
        reclaiming_ms=(found.own_limit.time_ns + found.own.time_ns) / NS_PER_MS,
        parts=tuple(sorted(parts, key=lambda part: -part.reclaimed_bytes)),
    )


def tasks_of(run: Run) -> TasksWithin:
    """Who ran within the kernel and the root cgroup; nobody known where the recorder did not look."""
    return run.record("tasks", TasksWithin) if "tasks" in run.meta else NOBODY_KNOWN


def parts_of(whole: CgroupWindow, named: Callable[[str], str] = path_name) -> tuple[WaitPart, ...]:
    """The parts of a cgroup's wait, the longest first; they add up to all of it."""
    return tuple(sorted(_parts(whole, named), key=lambda part: -part.wait_ms))


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


def with_tasks(part: WaitPart, tasks: TasksWithin, every: Mapping[str, CgroupWindow]) -> WaitPart:
    """A part of a wait with who ran within the kernel or the root cgroup, where it is one of the two."""
    name = KERNEL if part.charge is Charge.KERNEL else part.cgroup
    within = tasks.shares(name, every[name].run_ns if name in every else 0) if name else ()
    return replace(part, within=within or None)


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
    yield from untracked.warnings(run.windows)
    if globs := run.meta.get("globs"):
        yield f"only cgroups that match {globs} were recorded: what else is below {path} is not in it"
