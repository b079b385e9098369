import ctypes
import errno
import os
import time
from collections.abc import Callable, Iterator

import pytest

from probes import perf_event
from probes.btf import KIND_STRUCT, Btf
from probes.errors import HostError
from probes.perf_event import (
    CONTEXT_SWITCHES,
    CPU_CLOCK,
    CYCLES,
    INSTRUCTIONS,
    LLC_LOAD_MISSES,
    NO_PMU,
    PAGE_FAULTS,
    PerfEvent,
    PerfEventAttr,
    Reading,
    Refusal,
)
from tests.conftest import REQUIRED

# PERF_ATTR_SIZE_VER0 and later, include/uapi/linux/perf_event.h.
PUBLISHED_SIZES = {64, 72, 80, 96, 104, 112, 120, 128, 136, 144}
SOFTWARE_WORKS = perf_event.available([CPU_CLOCK])[CPU_CLOCK] is None
needs_events = pytest.mark.skipif(
    not SOFTWARE_WORKS and not REQUIRED, reason="this kernel or sandbox refuses perf events"
)

Opener = Callable[[PerfEvent, int], int]


@pytest.fixture(scope="module")
def btf() -> Iterator[Btf]:
    try:
        with Btf() as types:
            yield types
    except HostError as error:
        if REQUIRED:
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("member", [name for name, *_ in PerfEventAttr._fields_ if name != "flags"])
def test_members_are_where_the_running_kernel_has_them(btf: Btf, member: str) -> None:
    assert getattr(PerfEventAttr, member).offset == btf.offset("perf_event_attr", member)


def test_disabled_is_the_lowest_flag(btf: Btf) -> None:
    type_id = btf.type_id("perf_event_attr", KIND_STRUCT)
    assert type_id is not None
    found = btf._member(type_id, "disabled")
    assert found is not None
    assert found[0] == PerfEventAttr.flags.offset * 8 + perf_event.FLAG_DISABLED - 1


def test_the_size_is_the_first_published_one() -> None:
    assert ctypes.sizeof(PerfEventAttr) == perf_event.ATTR_SIZE_VER0


@needs_events
def test_the_kernel_says_a_published_size_when_it_dislikes_ours() -> None:
    attr = PerfEventAttr(size=1)
    with pytest.raises(OSError) as refused:  # noqa: PT011  the number below tells it apart
        perf_event.perf_event_open(attr, cpu=0)
    assert refused.value.errno == errno.E2BIG
    assert attr.size in PUBLISHED_SIZES


@pytest.mark.parametrize(
    ("event", "config"),
    [
        (LLC_LOAD_MISSES, 0x10002),
        (perf_event.DTLB_LOAD_MISSES, 0x10003),
        (perf_event.ITLB_LOAD_MISSES, 0x10004),
    ],
)
def test_cache_events_are_as_perf_writes_them(event: PerfEvent, config: int) -> None:
    assert (event.type, event.config) == (perf_event.TYPE_HW_CACHE, config)


def test_a_raw_event_is_named_as_in_perf() -> None:
    assert perf_event.raw(0x1C2) == PerfEvent("r01c2", perf_event.TYPE_RAW, 0x1C2)


@needs_events
def test_a_disabled_counter_stands_still() -> None:
    descriptor = perf_event.open_on_cpu(CPU_CLOCK, 0)
    try:
        assert perf_event.read(descriptor) == Reading(0, 0, 0)
    finally:
        os.close(descriptor)


@needs_events
def test_cpu_clock_counts_the_time_that_passed() -> None:
    descriptor = perf_event.open_on_cpu(CPU_CLOCK, 0)
    try:
        start_ns = time.monotonic_ns()
        perf_event.enable(descriptor)
        time.sleep(0.05)
        first, elapsed_ns = perf_event.read(descriptor), time.monotonic_ns() - start_ns
        second = perf_event.read(descriptor)
    finally:
        os.close(descriptor)
    assert 0.99 * 0.05e9 <= first.value <= 1.01 * elapsed_ns
    assert first.enabled_ns == first.running_ns
    assert second.value > first.value


@needs_events
def test_one_descriptor_per_cpu() -> None:
    opened = perf_event.open_per_cpu(PAGE_FAULTS, range(os.sysconf("SC_NPROCESSORS_CONF")))
    assert isinstance(opened, dict)
    for descriptor in opened.values():
        os.close(descriptor)
    assert len(opened) == os.sysconf("SC_NPROCESSORS_ONLN")


@needs_events
def test_a_cpu_that_is_not_there_is_left_out() -> None:
    opened = perf_event.open_per_cpu(CPU_CLOCK, [0, 1 << 20])
    assert isinstance(opened, dict)
    for descriptor in opened.values():
        os.close(descriptor)
    assert list(opened) == [0]


def refusing(errors: dict[PerfEvent, int]) -> Opener:
    """An `open_on_cpu` that refuses these events and opens others as /dev/null."""

    def opener(event: PerfEvent, _cpu: int) -> int:
        if event in errors:
            raise OSError(errors[event], os.strerror(errors[event]))
        return os.open(os.devnull, os.O_RDONLY)

    return opener


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL])
def test_without_cycles_but_with_software_events_there_is_no_pmu(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    hardware = dict.fromkeys([CYCLES, INSTRUCTIONS, LLC_LOAD_MISSES], number)
    monkeypatch.setattr(perf_event, "open_on_cpu", refusing(hardware))
    found = perf_event.available([*hardware, CPU_CLOCK])
    assert found == {**dict.fromkeys(hardware, NO_PMU), CPU_CLOCK: None}


def test_with_cycles_it_is_the_event_that_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_event, "open_on_cpu", refusing({LLC_LOAD_MISSES: errno.ENOENT}))
    found = perf_event.available([CYCLES, LLC_LOAD_MISSES])
    assert found[CYCLES] is None
    refusal = found[LLC_LOAD_MISSES]
    assert refusal is not None
    assert refusal.cause == "not-counted"
    assert "LLC-load-misses" in refusal.reason


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_refused_privilege_names_the_setting(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(perf_event, "open_on_cpu", refusing({CYCLES: number, CPU_CLOCK: number}))
    refusal = perf_event.available([CYCLES])[CYCLES]
    assert refusal is not None
    assert refusal.cause == "privilege"
    assert "perf_event_paranoid" in refusal.reason
    assert "CAP_PERFMON" in (refusal.remedy or "")


def test_when_even_software_events_fail_it_is_not_the_pmu(monkeypatch: pytest.MonkeyPatch) -> None:
    every = dict.fromkeys([CYCLES, CPU_CLOCK, CONTEXT_SWITCHES], errno.ENOENT)
    monkeypatch.setattr(perf_event, "open_on_cpu", refusing(every))
    causes = {refusal.cause for refusal in perf_event.available(every).values() if refusal}
    assert causes == {"no-perf"}


def test_an_unknown_software_event_is_not_the_kernels_refusal_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = PerfEvent("from-the-future", perf_event.TYPE_SOFTWARE, 1 << 20)
    monkeypatch.setattr(perf_event, "open_on_cpu", refusing({unknown: errno.ENOENT}))
    refusal = perf_event.available([unknown])[unknown]
    assert refusal is not None
    assert refusal.cause == "not-counted"


def test_out_of_descriptors_is_a_refusal_that_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def opener(_event: PerfEvent, _cpu: int) -> int:
        if len(opened) == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        opened.append(os.open(os.devnull, os.O_RDONLY))
        return opened[-1]

    monkeypatch.setattr(perf_event, "open_on_cpu", opener)
    refusal = perf_event.open_per_cpu(CPU_CLOCK, range(4))
    assert isinstance(refusal, Refusal)
    assert refusal.cause == "limit"
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_an_unknown_architecture_is_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    refusal = perf_event.available([CPU_CLOCK])[CPU_CLOCK]
    assert refusal is not None
    assert refusal.cause == "no-perf"
