"""perf_event_open(2) by ctypes: what can be counted here, and one event per CPU to count it.

Sources: perf_event_open(2) and include/uapi/linux/perf_event.h. Events are opened per CPU (pid -1), never per
cgroup: the switch hook tells cgroups apart, so the number of events does not grow with the number of cgroups.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TYPE_HARDWARE, TYPE_SOFTWARE, TYPE_HW_CACHE, TYPE_RAW = 0, 1, 3, 4
FORMAT_TOTAL_TIME_ENABLED, FORMAT_TOTAL_TIME_RUNNING = 1, 2
FLAG_DISABLED = 1
ATTR_SIZE_VER0 = 64  # as first published: every later kernel takes it, and it has all that is set here

_FLAG_FD_CLOEXEC = 8
_IOC_ENABLE = 0x2400
# Little-endian machines with the generic ioctl numbers: flags and _IOC_ENABLE differ on others.
_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_READING = struct.Struct("<3Q")
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")

_libc = ctypes.CDLL(None, use_errno=True)


class PerfEventAttr(ctypes.Structure):
    """The first ATTR_SIZE_VER0 bytes of struct perf_event_attr: the same on every architecture."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),  # 64 one-bit members, `disabled` the lowest
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class PerfEvent:
    """What to count: perf's name for it, and the `type` and `config` of perf_event_open(2)."""

    name: str
    type: int
    config: int


def cache_misses(name: str, cache_id: int) -> PerfEvent:
    """Loads that miss one of the kernel's generic caches (enum perf_hw_cache_id)."""
    read_operation, miss_result = 0, 1
    return PerfEvent(name, TYPE_HW_CACHE, cache_id | read_operation << 8 | miss_result << 16)


def raw(config: int) -> PerfEvent:
    """An event by its number in the CPU's manual, named as perf does (`r01c2`)."""
    return PerfEvent(f"r{config:04x}", TYPE_RAW, config)


CYCLES = PerfEvent("cycles", TYPE_HARDWARE, 0)
INSTRUCTIONS = PerfEvent("instructions", TYPE_HARDWARE, 1)
BRANCH_MISSES = PerfEvent("branch-misses", TYPE_HARDWARE, 5)
LLC_LOAD_MISSES = cache_misses("LLC-load-misses", 2)
DTLB_LOAD_MISSES = cache_misses("dTLB-load-misses", 3)
ITLB_LOAD_MISSES = cache_misses("iTLB-load-misses", 4)

CPU_CLOCK = PerfEvent("cpu-clock", TYPE_SOFTWARE, 0)
TASK_CLOCK = PerfEvent("task-clock", TYPE_SOFTWARE, 1)
PAGE_FAULTS = PerfEvent("page-faults", TYPE_SOFTWARE, 2)
CONTEXT_SWITCHES = PerfEvent("context-switches", TYPE_SOFTWARE, 3)


@dataclass(frozen=True, slots=True)
class Reading:
    """A counter, and for how many ns it was wanted and for how many of these it had a hardware register.

    The kernel lets events take turns when there are more than registers: `value` is then only what was seen.
    """

    value: int
    enabled_ns: int
    running_ns: int


RefusalCause = Literal["no-pmu", "not-counted", "privilege", "no-perf", "limit"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event cannot be counted, in one sentence, and what would fix it."""

    cause: RefusalCause
    reason: str
    remedy: str | None = None


NO_PMU = Refusal("no-pmu", "no hardware PMU", "run on bare metal, or a guest with a virtual PMU")


def open_on_cpu(event: PerfEvent, cpu: int) -> int:
    """A descriptor that counts everything on one CPU, kernel and user, from `enable` on.

    Raises:
        OSError: as perf_event_open(2) says; ENODEV also for a CPU that is offline.
    """
    attr = PerfEventAttr(
        type=event.type,
        size=ATTR_SIZE_VER0,
        config=event.config,
        read_format=FORMAT_TOTAL_TIME_ENABLED | FORMAT_TOTAL_TIME_RUNNING,
        flags=FLAG_DISABLED,
    )
    return perf_event_open(attr, cpu)


def perf_event_open(attr: PerfEventAttr, cpu: int) -> int:
    """The system call for all processes on one CPU; raises OSError, ENOSYS on an unknown architecture."""
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open has no known number on {platform.machine()}")
    every_pid, no_group = -1, -1
    arguments = [ctypes.c_long(value) for value in (every_pid, cpu, no_group, _FLAG_FD_CLOEXEC)]
    descriptor: int = _libc.syscall(ctypes.c_long(number), ctypes.byref(attr), *arguments)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return descriptor


def open_per_cpu(event: PerfEvent, cpus: Iterable[int]) -> dict[int, int] | Refusal:
    """A descriptor for each CPU that can count the event; a refusal where none can.

    A CPU may be offline, or of the kind of core (of several in one machine) that lacks the event.
    """
    opened: dict[int, int] = {}
    refused = OSError(errno.ENODEV, "no CPU was asked for")
    for cpu in cpus:
        try:
            opened[cpu] = open_on_cpu(event, cpu)
        except OSError as error:
            refused = error
            if error.errno in _TOO_MANY_FILES:  # half the CPUs would be no figure
                _close(opened)
                opened = {}
                break
    return opened or _refusal(event, refused)


def enable(descriptor: int) -> None:
    """Start counting this event in the kernel."""
    fcntl.ioctl(descriptor, _IOC_ENABLE, 0)


def read(descriptor: int) -> Reading:
    """The counter now; it costs the event's CPU an interrupt. Raises OSError."""
    content = os.read(descriptor, _READING.size)
    if len(content) < _READING.size:
        raise OSError(errno.EIO, "the kernel gave this event up")
    return Reading(*_READING.unpack(content))


def available(
    events: Iterable[PerfEvent], cpus: Iterable[int] | None = None
) -> Mapping[PerfEvent, Refusal | None]:
    """For each event why it cannot be counted on any of these CPUs (default: all), or None: it can."""
    wanted = _all_cpus() if cpus is None else list(cpus)
    return {event: _try(event, wanted) for event in events}


def _try(event: PerfEvent, cpus: Iterable[int]) -> Refusal | None:
    opened = open_per_cpu(event, cpus)
    if isinstance(opened, Refusal):
        return opened
    _close(opened)
    return None


def _close(opened: Mapping[int, int]) -> None:
    for descriptor in opened.values():
        os.close(descriptor)


def _all_cpus() -> range:
    return range(os.cpu_count() or 1)


def _refusal(event: PerfEvent, error: OSError) -> Refusal:
    """What an error means. ENOENT alone says little: whether simpler events open tells the cases apart."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refusal(
            "privilege",
            f"counting on whole CPUs is not allowed (perf_event_paranoid is {_paranoid()})",
            "run as root or with CAP_PERFMON, in no sandbox that forbids perf_event_open",
        )
    if error.errno in _TOO_MANY_FILES:
        return Refusal("limit", "too many open files: it takes one per event and CPU", "raise ulimit -n")
    if event == CPU_CLOCK or not _opens(CPU_CLOCK):
        return Refusal(
            "no-perf",
            f"the kernel refuses even software events: {error.strerror}",
            "run a kernel with CONFIG_PERF_EVENTS=y",
        )
    if event.type == TYPE_SOFTWARE:
        return Refusal("not-counted", f"this kernel does not count {event.name}: {error.strerror}")
    if event == CYCLES or not _opens(CYCLES):
        return NO_PMU
    return Refusal("not-counted", f"this CPU's PMU does not count {event.name}: {error.strerror}")


def _opens(event: PerfEvent) -> bool:
    for cpu in _all_cpus():
        try:
            os.close(open_on_cpu(event, cpu))
        except OSError:
            continue
        return True
    return False


def _paranoid() -> str:
    try:
        return _PARANOID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
