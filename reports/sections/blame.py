"""Who one cgroup waited for, as sections: the answer of `jostle blame`."""

from collections.abc import Iterator

from msgspec.structs import replace

from agent.documents.blame import (
    BlameSummary,
    Charge,
    DiskBlame,
    MemoryBlame,
    MemoryPart,
    NetworkBlame,
    WaitPart,
)
from agent.documents.tasks import TaskShare
from reports.figures import apportioned_pct, count, counted, percent, quantity, seconds, shown, time_ns
from reports.sections.answer import blame_answer
from reports.sections.model import (
    CGROUP,
    Facts,
    Kind,
    Listing,
    Report,
    ReportSection,
    Table,
    TableColumn,
    figure_columns,
)

MIB = 2**20
ROWS = {
    Charge.KERNEL: "kernel threads",
    Charge.OTHER: "cgroups with no slot (other)",
    Charge.REST: "many, a little each (rest)",
    Charge.SELF: "its own threads (self)",
    Charge.THROTTLED: "a CPU quota (throttled)",
    Charge.WAKEUP: "an idle CPU (wake-up latency)",
    Charge.STOLEN: "the hypervisor (steal)",
    Charge.UNATTRIBUTED: "nobody known (unattributed)",
}
SHORT = {
    Charge.KERNEL: "kernel threads",
    Charge.OTHER: "other",
    Charge.REST: "many",
    Charge.SELF: "own threads",
    Charge.THROTTLED: "its quota",
    Charge.WAKEUP: "idle CPU",
    Charge.STOLEN: "hypervisor",
    Charge.UNATTRIBUTED: "nobody known",
}


def blame_report(blame: BlameSummary) -> Report:
    """Who it waited for, the longest first."""
    blame = as_shown(blame)
    headline = "Blame (partial)" if blame.partial else "Blame"
    named = [f"{_row_name(part)}{'' if place else mostly(part)}" for place, part in enumerate(blame.parts)]
    answer = blame_answer(blame, named)
    return Report(headline, _sentence(blame), tuple(_sections(blame)), answer)


def as_shown(blame: BlameSummary) -> BlameSummary:
    """With its figures rounded, as every form shows them; the shares still sum to 100."""
    shares_pct = apportioned_pct([part.share_pct for part in blame.parts])
    parts = (
        replace(shown("part", part), share_pct=share)
        for part, share in zip(blame.parts, shares_pct, strict=True)
    )
    rounded = {name: shown(name, getattr(blame, name)) for name in ("run_ms", "wait_ms", "sampled_pct")}
    return replace(blame, **rounded, parts=tuple(parts))


def _sentence(blame: BlameSummary) -> str:
    time = f"in {seconds(blame.duration_s)}"
    if not blame.parts:
        return f"{blame.name} never waited for a CPU {time}; it ran {quantity(blame.run_ms, 'ms')}."
    first = blame.parts[0]
    return (
        f"{blame.name} waited {quantity(blame.wait_ms, 'ms')} for a CPU {time}, {percent(first.share_pct)} of it "
        f"for {_row_name(first)}{mostly(first)}."
    )


def mostly(part: WaitPart) -> str:
    """The two busiest within the kernel or the root cgroup, in brackets, where somebody looked."""
    return f" (by CPU time mostly {_busiest(part.within[:2])})" if part.within else ""


def _busiest(tasks: tuple[TaskShare, ...]) -> str:
    return ", ".join(f"{_task_name(task)} {percent(task.share_pct)}" for task in tasks)


def _task_name(task: TaskShare) -> str:
    return task.name if task.count == 1 else f"{task.name} ({task.count} of them)"


def _sections(blame: BlameSummary) -> Iterator[ReportSection]:
    if blame.parts:
        yield _part_table(blame.parts)
    yield from map(_disk_table, blame.disks or ())
    yield from map(_network_table, blame.networks or ())
    if blame.memory:
        yield _memory_table(blame.memory)
    within = tuple((part, task) for part in blame.parts for task in part.within or ())
    if within:
        yield _task_table(within)
    cgroups = tuple((part.name, part.cgroup) for part in blame.parts if part.cgroup not in {None, part.name})
    if cgroups:
        yield Table(
            "Their cgroups", (TableColumn("Name", Kind.NAME), CGROUP), tuple((n, c or "") for n, c in cgroups)
        )
    yield Facts(
        "Cgroup",
        (
            ("Path", blame.cgroup),
            ("Ran", quantity(blame.run_ms, "ms")),
            ("Waited", quantity(blame.wait_ms, "ms")),
            *_shared_out(blame),
            ("p99 of the waits", time_ns(blame.wait_p99_ns)),
            ("Preempted", f"{counted(blame.preempted, 'time')} by others"),
            ("Measured by", blame.tier),
        ),
    )
    if blame.warnings:
        yield Listing("Warnings", blame.warnings)


def _shared_out(blame: BlameSummary) -> Iterator[tuple[str, str]]:
    """Long waits behind many are charged to those who ran at sampled moments: see ARCHITECTURE.md."""
    if blame.sampled_pct is not None:
        yield (
            "By sample",
            f"{percent(blame.sampled_pct)} of the wait: the sum is exact, its shares are estimates",
        )


def _disk_table(use: DiskBlame) -> Table:
    amounts = (("read", use.reads, use.read_bytes), ("write", use.writes, use.written_bytes))
    moved = ", ".join(
        f"{quantity(size / MIB, 'MiB')} in {counted(n, what)}" for what, n, size in amounts if n
    )
    time = f"{quantity(use.queue_ms, 'ms')} until the disk began, {quantity(use.service_ms, 'ms')} until it was done"
    note = f"{moved or 'no reads or writes'}; summed over its requests {time}."
    return _served_table(
        f"Whom {use.disk} served while its requests waited", "Served", use.parts, "its own requests", note
    )


def _network_table(use: NetworkBlame) -> Table:
    sent = f"{quantity(use.bytes / MIB, 'MiB')} in {counted(use.packets, 'packet')}"
    time = f"summed over its packets {quantity(use.queue_ms, 'ms')} until they were sent"
    lost = f"{count(use.dropped)} dropped, {count(use.retransmits)} sent again"
    title = f"Whose packets {use.device} sent while its own waited"
    return _served_table(title, "Sent", use.parts, "its own packets", f"{sent}; {time}; {lost}.")


def _served_table(title: str, heading: str, parts: tuple[WaitPart, ...], own: str, note: str) -> Table:
    return Table(
        title,
        (TableColumn(heading, Kind.NAME), *figure_columns("Time", "Share")),
        tuple(
            (
                own if part.charge is Charge.SELF else _row_name(part),
                quantity(part.wait_ms, "ms"),
                percent(part.share_pct),
            )
            for part in parts
        ),
        note=note,
        bars_pct=tuple(part.share_pct for part in parts),
    )


def _memory_table(memory: MemoryBlame) -> Table:
    own = f"{quantity(memory.own_limit_bytes / MIB, 'MiB')} within a limit of its own"
    spent = f"its tasks were at that for {quantity(memory.reclaiming_ms, 'ms')}"
    return Table(
        "Whose need had memory reclaimed within limits that it shares",
        (TableColumn("Needed more", Kind.NAME), *figure_columns("Reclaimed", "Share")),
        tuple(
            (
                "its own need" if part.charge is Charge.SELF else _row_name(part),
                quantity(part.reclaimed_bytes / MIB, "MiB"),
                percent(part.share_pct),
            )
            for part in memory.parts
        ),
        note=f"{own if memory.own_limit_bytes else 'none within a limit of its own'}; {spent}.",
        bars_pct=tuple(part.share_pct for part in memory.parts),
    )


def _part_table(parts: tuple[WaitPart, ...]) -> Table:
    return Table(
        "Whom it waited for",
        (TableColumn("Waited for", Kind.NAME), *figure_columns("Wait", "Share", "Preempted")),
        tuple(
            (
                _row_name(part),
                quantity(part.wait_ms, "ms"),
                percent(part.share_pct),
                "" if part.preemptions is None else count(part.preemptions),
            )
            for part in parts
        ),
        note="Waits are summed over its tasks; Preempted counts how often that one took the CPU away.",
        bars_pct=tuple(part.share_pct for part in parts),
    )


def _task_table(within: tuple[tuple[WaitPart, TaskShare], ...]) -> Table:
    return Table(
        "Who ran within",
        (
            *(TableColumn("Within", Kind.NAME), TableColumn("Task", Kind.NAME)),
            *figure_columns("PID", "Ran", "Share"),
        ),
        tuple(
            (
                _row_name(part),
                _task_name(task),
                str(task.pid),
                quantity(task.run_ms, "ms"),
                percent(task.share_pct),
            )
            for part, task in within
        ),
        note="By CPU time in the same stretch, not by who was in the way; the PID is the busiest one's.",
    )


def waited_for(part: WaitPart | None) -> str:
    """Who a cgroup waited for longest, in a word or by name; nothing where it never waited.

    Of the root cgroup and the kernel the busiest within, where somebody looked: `/: python`.
    """
    if part is None:
        return ""
    name = part.name if part.charge is Charge.CGROUP else SHORT[part.charge]
    within = f": {part.within[0].name}" if part.within else ""
    return f"{'kernel' if within and part.charge is Charge.KERNEL else name}{within}"


def _row_name(part: WaitPart | MemoryPart) -> str:
    return part.name if part.charge is Charge.CGROUP else ROWS[part.charge]
