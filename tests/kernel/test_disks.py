"""What the probe says of block I/O, against /proc/diskstats and /proc/PID/io."""

import os
from pathlib import Path

import pytest

from collectors.windows import sched
from collectors.windows.disks import DiskUse, add, disk_use
from probes.block_io import TRACEPOINTS, disk_name
from probes.sched_probe import SchedProbe
from tests.kernel.answers import measure
from tests.kernel.situations import Situation, direct_io, disk_file, read_bytes, spin
from tests.slowness import SLOWNESS

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
SECONDS = 2.0
BLOCK = 4096
# The books end after all that a request's end causes (waking who waits for it), the probe where it ends: 8 to 11 µs a
# request here, 40 to 96 emulated.
HANDLING_NS = 20_000 * max(1.0, SLOWNESS / 2)


def books(device: int) -> tuple[int, int, float]:
    """Reads, writes, and the ms of both, of discards and of flushes, of a whole disk (iostats.rst)."""
    for line in Path("/proc/diskstats").read_text().splitlines():
        major, minor, _, *fields = line.split()
        if (int(major), int(minor)) == (os.major(device), os.minor(device)):
            numbers = [int(field) for field in fields] + [0] * 20
            return numbers[0], numbers[4], numbers[3] + numbers[7] + numbers[14] + numbers[16]
    raise AssertionError(f"no disk {device}")


def skipped_runs(probe: SchedProbe) -> int:
    """How often the kernel did not run a program of block I/O, as one was at work on that CPU (fdinfo).

    Where tracepoints can be preempted (7.3) whoever preempts one that issues a request, and issues one, is not seen.
    """
    total = 0
    for program in TRACEPOINTS:
        told = Path(f"/proc/self/fdinfo/{probe._descriptors[program]}").read_text()
        total += sum(
            int(line.split()[1]) for line in told.splitlines() if line.startswith("recursion_misses")
        )
    return total


def whole_disk(path: Path) -> int:
    """The disk that a file is on, not its partition."""
    device = path.stat().st_dev
    where = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    disk = where.parent if (where / "partition").exists() else where
    return os.makedev(*map(int, (disk / "dev").read_text().split(":")))


def test_a_reader_beside_a_writer_waits_for_it_and_not_for_who_has_the_cpu(
    probe: SchedProbe, situation: Situation
) -> None:
    with disk_file(32) as path, disk_file(64) as other:
        device = whole_disk(path)
        disk = disk_name(os.major(device), os.minor(device))
        assert disk is not None
        ours, theirs, decoy = (situation.group(name) for name in ("ours", "theirs", "decoy"))
        reader = situation.process(direct_io(path, BLOCK), ours)
        situation.process(direct_io(other, 1 << 20, write=True), theirs)
        situation.process(spin, decoy)
        had = read_bytes(reader)
        # The disk's books before and after each reading: others' requests of those moments are in it or are not.
        before, snapshot, since, skipped = books(device), probe.read(), books(device), -skipped_runs(probe)
        situation.go(SECONDS)
        until, window, after = books(device), sched.window(snapshot, probe.read()), books(device)
        uses = {group: disk_use([window.disks], group.path) for group in (ours, theirs, decoy)}
        skipped += skipped_runs(probe)
        had_read = read_bytes(reader) - had
        assert 0.99 * had_read - skipped * BLOCK <= uses[ours].read_bytes <= 1.01 * had_read
        every = add(list(window.disks[disk].values()))
    assert 0.98 * (until[0] - since[0]) - skipped <= every.reads <= after[0] - before[0]
    most_ns, least_ns = (1e6 * (late[2] - early[2]) for early, late in ((before, after), (since, until)))
    assert 0.98 * least_ns - every.requests * HANDLING_NS <= every.time_ns <= 1.02 * most_ns + 1e7
    for use in uses.values():
        parts_ns = use.self_ns + use.unattributed_ns + sum(use.waited_for.values())
        assert parts_ns == pytest.approx(use.time_ns, rel=1e-3)
    assert uses[decoy] == DiskUse()
    assert max(uses[ours].waited_for.items(), key=lambda wait: wait[1])[0] == theirs.path
    assert sum(use.histogram[0] for use in uses.values()) <= every.requests == sum(every.histogram)


def test_a_disk_that_lies_on_others_is_not_counted_again(tmp_path: Path) -> None:
    for where, slave in (("254:0", None), ("253:1", "vda")):
        (tmp_path / f"sys/dev/block/{where}/slaves").mkdir(parents=True)
        if slave:
            (tmp_path / f"sys/dev/block/{where}/slaves/{slave}").mkdir()
    assert disk_name(254, 0, tmp_path) == "254:0"
    assert disk_name(253, 1, tmp_path) is None
    assert disk_name(7, 9, tmp_path) == "7:9"


def test_without_block_io_nothing_of_it_is_told(situation: Situation) -> None:
    from collectors.host.hierarchy import detect_layout
    from collectors.sources import ebpf

    layout = detect_layout()
    listed = lambda: ebpf.list_cgroups(layout)  # noqa: E731
    with disk_file(1) as path, SchedProbe(ebpf.identity_of(layout), listed, io=False) as probe:
        situation.process(direct_io(path, BLOCK), situation.group("ours"))
        answer = measure(probe, situation, 0.3)
    assert all(not window.disks for window in answer.windows)
