"""Histories to ship, written by the agent's own sink, and an oracle for what is in them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from agent.daemon.history_sink import History, Retention
from agent.documents.event import Event
from agent.store.opening import open_to_read
from agent.store.run_file import pack
from agent.store.windows import windows
from collectors.windows.figures import CgroupFigures, CgroupSignals
from collectors.windows.sched import CgroupWindow, SchedWindow
from collectors.windows.signals import HostSignals, SignalWindow
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.observations import NS, observation

HOUR_NS = 3600 * NS
BEGIN_NS = 1_780_002_000 * NS  # 2026-05-28T21:00 UTC: an hour begins
WEB, BATCH, CRON = "/kubepods/web", "/system.slice/batch.service", "/system.slice/cron.service"
FACTS = {"host": pack(HOST), "tier": "ebpf"}
LIMITED: CgroupSignals = CgroupFigures(2.0, *(0 for _ in CgroupFigures._fields[1:]))


def history(
    path: Path,
    ends_ns: Iterable[int],
    events: Sequence[Event] = (),
    facts: Mapping[str, str] = FACTS,
    web: str = WEB,
) -> None:
    """Windows of 10 s that end at these times, each of which differs from the others; then the events."""
    sink = History(path, Retention(10**18, 2**40), facts)
    for number, end_ns in enumerate(ends_ns):
        seen = observation(number, *busy(number, web))
        sched = replace(seen.sched, signals=signals(web))
        sink.on_window(replace(seen, end_utc_ns=end_ns, sched=sched))
    for event in events:
        sink.on_event(event)
    sink.close()


def busy(number: int, web: str = WEB) -> tuple[CgroupWindow, ...]:
    """Three cgroups: one is slowed by the second, and the third does next to nothing."""
    waits = tuple(1 if bucket in {8, 9, 40} else 0 for bucket in range(96))
    slowed = replace(cgroup(3.0 + number % 7, {BATCH: 2.0, CRON: 0.1}, self_s=0.5, path=web), histogram=waits)
    return slowed, cgroup(9.0, {web: 0.2}, path=BATCH), cgroup(0.001, {"rest": 0.001}, path=CRON)


def signals(web: str) -> SignalWindow:
    return SignalWindow(cgroups={web: LIMITED}, host=HostSignals(cpus={}, pressure={"cpu_some_ns": 5}))


def each_minute(begin_ns: int, count: int) -> list[int]:
    return [begin_ns + (number + 1) * 60 * NS for number in range(count)]


def sums(path: Path) -> dict[str, int]:
    """Of all windows in a history: its windows, and the run time, waits and waits for others of all cgroups."""
    with closing(open_to_read(path)) as db:
        found: list[SchedWindow] = [window for _, window in windows(db)]
    cgroups = [each for window in found for each in window.cgroups.values()]
    return {
        "windows": len(found),
        "run_ns": sum(each.run_ns for each in cgroups),
        "wait_ns": sum(each.wait_ns for each in cgroups),
        "waits": sum(sum(each.histogram) for each in cgroups),
        "pairs_ns": sum(wait.wait_ns for each in cgroups for wait in each.waited_for.values()),
    }
