"""Whose allocations had memory reclaimed, against what their processes read and the limit's cgroup no longer holds."""

import mmap
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.analysis.observation import victim_signals
from collectors.sources.signal_reader import SignalReader, signals_within
from collectors.windows.reclaims import contest
from probes.sched_probe import SchedProbe
from tests.kernel.answers import Answer, measure
from tests.kernel.situations import Group, Process, Situation, Work, disk_file, eventually, read_bytes, spin

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
MIB = 1 << 20
SECONDS = 2.0


def read_again(path: Path) -> Work:
    """Read a file through the page cache, over and over; what is cached on behalf of who wrote it goes first."""

    def work() -> None:
        descriptor, buffer = os.open(path, os.O_RDONLY), mmap.mmap(-1, MIB)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while True:
            for place in range(0, path.stat().st_size, MIB):
                os.preadv(descriptor, [buffer], place)

    return work


def read_afresh(path: Path) -> Work:
    """The same, given up by itself each time it was read: nobody took it."""

    def work() -> None:
        descriptor, buffer = os.open(path, os.O_RDONLY), mmap.mmap(-1, MIB)
        while True:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            for place in range(0, path.stat().st_size, MIB):
                os.preadv(descriptor, [buffer], place)

    return work


def gone_pages(processes: Iterable[Process], group: Group) -> int:
    """What those within a limit read from disks and its cgroup has no more: reclaimed, but for an unknown start."""
    held = int((group.directory / ("memory.usage_in_bytes" if group.v1 else "memory.current")).read_text())
    return (sum(read_bytes(process) for process in processes) - held) // mmap.PAGESIZE


def in_both(situation: Situation, name: str, parents: tuple[Group, Group]) -> tuple[Group, Group]:
    """A cgroup that tells its tasks apart, and the one of the same path that has the memory controller."""
    told_apart, limited = parents
    made = situation.memory_group(name, parent=limited)
    return (made if limited is told_apart else situation.group(name, parent=told_apart)), made


def parent(situation: Situation) -> tuple[Group, Group]:
    """The same, at the top."""
    if "memory" not in situation.layout.v1_mounts:
        made = situation.memory_group(f"jostle-test-{os.getpid()}-memory")
        return made, made
    group = situation.group("memory")
    return group, situation.memory_group(group.path[1:])


def start(situation: Situation, work: Work, groups: tuple[Group, Group]) -> Process:
    """A process in both cgroups."""
    process = situation.process(work, groups[0])
    groups[1].take(process.pid)
    return process


def has_read(reader: Process, size_mib: int) -> Callable[[], bool]:
    """A slow disk takes its time to fill a limit, and reading is what is to be measured."""
    return lambda: read_bytes(reader) > size_mib * MIB


def test_who_reads_more_than_a_shared_limit_holds_drives_its_reclaim_and_not_who_has_the_cpu(
    probe: SchedProbe, situation: Situation
) -> None:
    shared = parent(situation)
    ours, theirs, decoy = (in_both(situation, name, shared) for name in ("ours", "theirs", "decoy"))
    shared[1].limit_memory(48 * MIB)
    with disk_file(8) as small, disk_file(128) as large:
        start(situation, read_again(small), ours)
        reader = start(situation, read_again(large), theirs)
        start(situation, spin, decoy)
        before = gone_pages(situation.processes, shared[1])
        answer = measure(probe, situation, SECONDS, enough=has_read(reader, 192))
        pages = gone_pages(situation.processes, shared[1]) - before
    found = contest((window.reclaims for window in answer.windows), ours[0].path)
    assert found.own_limit.pages == 0
    assert set(found.others_pages) <= {theirs[0].path, "kernel"}
    assert found.others_pages[theirs[0].path] > 0.9 * all_pages(answer, shared[1])
    assert_agree(all_pages(answer, shared[1]), pages)


def test_a_limit_of_ones_own_is_told_from_one_that_is_shared(probe: SchedProbe, situation: Situation) -> None:
    shared = parent(situation)
    ours, theirs = (in_both(situation, name, shared) for name in ("ours", "theirs"))
    shared[1].limit_memory(512 * MIB)
    ours[1].limit_memory(24 * MIB)
    with disk_file(64) as large, disk_file(8) as small:
        reader = start(situation, read_again(large), ours)
        start(situation, read_again(small), theirs)
        before = gone_pages(situation.processes[:1], ours[1])
        answer = measure(probe, situation, SECONDS, enough=has_read(reader, 96))
        pages = gone_pages(situation.processes[:1], ours[1]) - before
    found = contest((window.reclaims for window in answer.windows), ours[0].path)
    assert_agree(found.own_limit.pages, pages)
    assert found.own_limit.time_ns > 0
    assert found.own.pages == 0
    assert not found.others_pages
    assert not contest((window.reclaims for window in answer.windows), theirs[0].path).others_pages


def test_of_what_is_read_what_had_been_reclaimed_is_told_and_nothing_else(situation: Situation) -> None:
    """One reads more than its limit holds, round and round; the other gives up what it read, and reads it once more."""
    groups = [situation.memory_group(f"jostle-test-{os.getpid()}-{name}") for name in ("again", "afresh")]
    with disk_file(64) as large, disk_file(8) as small, SignalReader(situation.layout) as reader:
        readers = [
            situation.process(work, group)
            for work, group in zip((read_again(large), read_afresh(small)), groups, strict=True)
        ]
        for group, process in zip(groups, readers, strict=True):
            group.limit_memory(24 * MIB)
            process.go()
        eventually(lambda: all(read_bytes(each) > 80 * MIB for each in readers), "all has been read before")
        situation.stop()
        had, before = list(map(read_bytes, readers)), reader.read([group.path for group in groups])
        for process in readers:
            os.kill(process.pid, signal.SIGCONT)
        eventually(
            lambda: all(read_bytes(each) > was + 128 * MIB for each, was in zip(readers, had, strict=True)),
            "much of it has been read again",
        )
        situation.stop()
        signals = signals_within(before, reader.read([group.path for group in groups]))
        read = [(read_bytes(each) - was) // mmap.PAGESIZE for each, was in zip(readers, had, strict=True)]
    again, afresh = (
        victim_signals(signals, group.path, [], frequency=False).refaulted_pages for group in groups
    )
    assert again == pytest.approx(read[0], rel=0.02)
    assert afresh is not None
    assert afresh < 0.01 * read[1]


def assert_agree(told: int, pages: int) -> None:
    """Within 2 %; what reclaim freed beside the lists of pages is told too before 6.4 (583c27a16722)."""
    assert told >= pages * 0.98
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release >= (6, 4):
        assert told == pytest.approx(pages, rel=0.02)


def all_pages(answer: Answer, limit: Group) -> int:
    """Of all that was reclaimed within a limit."""
    return sum(use.pages for window in answer.windows for use in window.reclaims[limit.path].values())
