"""What a scraper reads: the right sums, series that never go down, harmless names, no more than were allowed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from agent.daemon.config import Config, MetricsConfig
from agent.daemon.metrics import families
from agent.daemon.metrics.collector import Gathered
from agent.daemon.metrics.totals import BOUNDS_NS, IDLE_NS, Totals
from agent.daemon.sinks import SinkHealth
from agent.documents.event import EventCause, EventState, Suspect
from agent.documents.verdict import SelfCost
from collectors.windows.figures import CgroupSignals
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import OTHER, REST, CgroupWindow, CpuWindow, SchedWindow
from collectors.windows.signals import HostSignals, SignalWindow
from reports.escape import for_terminal
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.daemon.metrics.scrapes import Series, get, parsed, scraped, series, serving
from tests.agent.daemon.observations import HEALTH, event, observation

NS = 10**9
RUN, BLAME = "jostle_cgroup_run_seconds_total", "jostle_blame_wait_seconds_total"
# As cgroups may be called: no slash, no NUL, 255 bytes, otherwise anything; what is no UTF-8 comes as surrogates.
NAMES = st.binary(min_size=1, max_size=255).map(
    lambda name: "/" + name.replace(b"\0", b"_").replace(b"/", b"_").decode("utf-8", "surrogateescape")
)


def test_the_sums_of_two_windows() -> None:
    counts = [0] * len(EDGES_NS)
    counts[EDGES_NS.index(1 << 20)] = 7  # a millisecond
    part = replace(
        cgroup(2.0, {NEIGHBOUR: 1.0, "/small": 0.001}, self_s=0.25, throttled_s=0.5, unattributed_s=0.125),
        histogram=tuple(counts),
        sampled_ns=250_000_000,
    )
    with serving() as metrics:
        for number in (1, 2):
            metrics.on_window(observation(number, part))
        found = scraped(metrics)
    assert found[series(RUN, cgroup=VICTIM)] == 4.0
    assert found[series("jostle_cgroup_switches_total", cgroup=VICTIM)] == 20
    assert found[series("jostle_cgroup_wait_sampled_seconds_total", cgroup=VICTIM)] == 0.5
    for cause, seconds in {
        "others": 2.002,
        "self": 0.5,
        "wakeup": 0,
        "throttled": 1.0,
        "unattributed": 0.25,
    }.items():
        key = series("jostle_cgroup_wait_cause_seconds_total", cgroup=VICTIM, cause=cause)
        assert found[key] == pytest.approx(seconds)
    wanted_s = 2.0 + 1.001 + 0.25 + 0.125  # in the latest window, its quota's time apart
    ratio = found[series("jostle_cgroup_contention_ratio", cgroup=VICTIM)]
    assert ratio == pytest.approx(1.001 / wanted_s)
    for by, times in {"own": 2, "foreign": 4, "throttled": 6}.items():
        assert found[series("jostle_cgroup_preemptions_total", cgroup=VICTIM, by=by)] == times
    assert found[series("jostle_cgroup_wait_seconds_sum", cgroup=VICTIM)] == pytest.approx(3.752)
    assert found[series("jostle_cgroup_wait_seconds_count", cgroup=VICTIM)] == 14
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name == "jostle_cgroup_wait_seconds_bucket" and dict(labels)["cgroup"] == VICTIM
    }
    assert {le for le, value in buckets.items() if value} == {le for le in buckets if le > (1 << 20) / NS}
    assert len(buckets) == len(BOUNDS_NS) + 1
    assert found[series(BLAME, victim=VICTIM, aggressor=NEIGHBOUR)] == 2.0
    assert found[series("jostle_blame_preemptions_total", victim=VICTIM, aggressor=NEIGHBOUR)] == 2
    # The small one is under 1 % of all waiting: no series of its own, and not lost.
    assert found[series(BLAME, victim=OTHER, aggressor=OTHER)] == 0.002
    assert found[series("jostle_cpu_run_seconds_total", cpu="0")] == 20.0
    assert found[series("jostle_cpu_wait_seconds_total", cpu="0")] == 10.0


def row(**figures: int | None) -> CgroupSignals:
    """What the kernel files of a cgroup without a limit say."""
    return CgroupSignals(**{**dict.fromkeys(CgroupSignals._fields), "limit_cpus": inf, **figures})


def test_what_kernel_files_say_is_summed_as_well_and_the_unknown_is_absent() -> None:
    with serving() as metrics:
        for number, figures in enumerate((row(major_faults=3, io_some_ns=NS), row(major_faults=4, reads=2))):
            seen = observation(number, cgroup(1.0))
            signals = SignalWindow({VICTIM: figures}, HostSignals({}, {}))
            metrics.on_window(replace(seen, sched=replace(seen.sched, signals=signals)))
        found = scraped(metrics)
    assert found[series("jostle_cgroup_major_faults_total", cgroup=VICTIM)] == 7
    assert found[series("jostle_cgroup_io_some_seconds_total", cgroup=VICTIM)] == 1.0
    assert found[series("jostle_cgroup_reads_total", cgroup=VICTIM)] == 2
    assert series("jostle_cgroup_writes_total", cgroup=VICTIM) not in found
    assert series("jostle_cgroup_limit_cpus", cgroup=VICTIM) not in found


def test_a_level_is_the_latest_and_of_several_cgroups_there_is_none() -> None:
    with serving(max_cgroups=1) as metrics:
        for number, cpus in enumerate((0.5, 2.0)):
            seen = observation(number, cgroup(1.0), cgroup(1.0, path="/more"))
            signals = SignalWindow(
                {path: row()._replace(limit_cpus=cpus) for path in (VICTIM, "/more")}, HostSignals({}, {})
            )
            metrics.on_window(replace(seen, sched=replace(seen.sched, signals=signals)))
        found = scraped(metrics)
    limits = {labels: value for (name, labels), value in found.items() if name == "jostle_cgroup_limit_cpus"}
    assert limits == {(("cgroup", VICTIM),): 2.0}


def test_the_agent_itself() -> None:
    health = replace(
        HEALTH,
        lost_windows=3,
        probe=SelfCost(250.0, switches_per_s=1000.0, cpu_pct=0.5, kernel_memory_bytes=1 << 20),
        sinks=(SinkHealth("history", 5, 2, "disk full"), SinkHealth("metrics", 7, 0, None)),
    )
    with serving() as metrics:
        metrics.on_window(observation(1, health=health))
        found = scraped(metrics)
    assert found[series("jostle_agent_lost_windows_total")] == 3
    assert found[series("jostle_agent_sink_windows_total", sink="history", outcome="lost")] == 2
    assert found[series("jostle_agent_sink_up", sink="history")] == 0
    assert found[series("jostle_agent_sink_up", sink="metrics")] == 1
    assert found[series("jostle_probe_switch_seconds")] == pytest.approx(250e-9)
    assert found[series("jostle_probe_cpu_ratio")] == 0.005
    assert found[series("jostle_probe_kernel_memory_bytes")] == 1 << 20


def test_an_unknown_cost_is_absent_and_not_0() -> None:
    names = {family.name for family in families.agent(observation(1))}
    assert not any(name.startswith("jostle_probe") for name in names)
    assert "jostle_agent_windows" in names


def test_events_are_counted_and_shown_while_they_last() -> None:
    with serving() as metrics:
        metrics.on_event(event("/a", suspects=(Suspect("/noisy", 90.0),)))
        metrics.on_event(event("/b", cause=EventCause.THROTTLED))
        found = scraped(metrics)
        assert found[series("jostle_events_total", indicator="wait_per_run", cause="neighbours")] == 1
        active = {labels for name, labels in found if name == "jostle_event_active"}
        assert {(dict(labels)["victim"], dict(labels)["suspect"]) for labels in active} == {
            ("/a", "/noisy"),
            ("/b", ""),
        }
        metrics.on_event(event("/a", state=EventState.CLEARED))
        left = {dict(labels)["victim"] for name, labels in scraped(metrics) if name == "jostle_event_active"}
        assert left == {"/b"}


def test_more_events_than_series_are_counted_together() -> None:
    with serving(max_cgroups=2) as metrics:
        for number in range(10):
            metrics.on_event(event(f"/{number}", suspects=(Suspect(f"/s-{number}", 90.0),)))
        found = scraped(metrics)
    active = {
        dict(labels)["victim"]: value
        for (name, labels), value in found.items()
        if name == "jostle_event_active"
    }
    assert active == {"/0": 1, "/1": 1, OTHER: 8}


@given(st.lists(NAMES, min_size=1, max_size=5), NAMES)
def test_no_name_breaks_the_answer(names: list[str], aggressor: str) -> None:
    gathered = Gathered(MetricsConfig(), for_terminal)
    gathered.add(observation(1, *(cgroup(1.0, {aggressor: 1.0}, path=name) for name in names)))
    gathered.add_event(event(names[0], suspects=(Suspect(aggressor, 90.0),)))
    registry = CollectorRegistry()
    registry.register(gathered)
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]  # the client has no hints there
    found = parsed(text)
    assert all(line.isprintable() for line in text.split("\n"))
    shown = {dict(labels)["cgroup"] for name, labels in found if name == RUN}
    assert shown == {for_terminal(name) for name in names} | {OTHER}
    assert whole(found, RUN) == len(set(names))


def test_names_that_look_the_same_are_counted_together() -> None:
    with serving() as metrics:
        metrics.on_window(observation(1, cgroup(1.0, path="/a\x1b"), cgroup(2.0, path="/a\\x1b")))
        found = scraped(metrics)
    assert found[series(RUN, cgroup="/a\\x1b")] == 3.0


def test_text_for_older_scrapers() -> None:
    with serving() as metrics:
        metrics.on_window(observation(1, cgroup(1.0)))
        status, text = get(metrics, accept="text/plain")
    assert status == 200
    assert f'jostle_cgroup_run_seconds_total{{cgroup="{VICTIM}"}} 1.0' in text.splitlines()


def at(number: int, *cgroups: CgroupWindow) -> SchedWindow:
    return replace(window(*cgroups, duration_s=10), end_ns=number * 10 * NS)


PARTS = st.dictionaries(
    st.sampled_from([f"/{name}" for name in "abcdefgh"]),
    st.dictionaries(st.sampled_from(["/x", "/y", "/z", "kernel", REST]), st.integers(0, 9), max_size=3),
    max_size=6,
)


def counters(totals: Totals) -> dict[Series, float]:
    return {
        series(sample.name, **sample.labels): sample.value
        for family in families.scheduler(totals)
        for sample in family.samples
        if family.type != "gauge"
    }


def whole(found: Mapping[Series, float], name: str) -> float:
    return sum(value for (each, _), value in found.items() if each == name)


@given(st.lists(st.tuples(st.integers(0, 40), PARTS), max_size=30))
def test_no_series_ever_goes_down_and_nothing_is_lost(
    steps: Iterable[tuple[int, dict[str, dict[str, int]]]],
) -> None:
    """Windows with pauses in between, long enough for series to go and to come back."""
    totals = Totals(3, 8, for_terminal)
    highest: dict[Series, float] = {}
    number = ran_s = waited_s = 0
    for pause, parts in steps:
        number += 1 + pause
        totals.add(at(number, *(cgroup(1.0, waits, path=path) for path, waits in parts.items())))
        ran_s += len(parts)
        waited_s += sum(sum(waits.values()) for waits in parts.values())
        found = counters(totals)
        assert all(value >= highest.get(key, 0) for key, value in found.items())
        assert sum(name == RUN for name, _ in found) <= 3 + 1
        assert sum(name == BLAME for name, _ in found) <= 8 + 1
        highest |= found
    assert whole(highest, RUN) == pytest.approx(ran_s)
    assert whole(highest, BLAME) == pytest.approx(waited_s)


def test_the_contention_ratio_is_of_the_latest_window_only() -> None:
    with serving() as metrics:
        metrics.on_window(observation(1, cgroup(1.0, {NEIGHBOUR: 1.0})))
        metrics.on_window(observation(2, cgroup(1.0, path="/other-one")))
        found = scraped(metrics)
    assert {labels: value for (name, labels), value in found.items() if "contention" in name} == {
        series("", cgroup="/other-one")[1]: 0.0
    }


def test_who_is_idle_makes_room_and_goes_on_where_it_was() -> None:
    totals = Totals(1, 1, for_terminal)

    def shown() -> dict[str, float]:
        return {labels[0]: (total.figures()["run_ns"] or 0) / NS for labels, total in totals.cgroups.items()}

    totals.add(at(1, cgroup(1.0, path="/first"), cgroup(0.5, path="/second")))
    assert shown() == {"/first": 1.0, OTHER: 0.5}
    later = 2 + IDLE_NS // (10 * NS)
    totals.add(at(later, cgroup(0.5, path="/second")))
    assert shown() == {OTHER: 1.0}
    totals.add(at(later + 1, cgroup(0.5, path="/second")))
    assert shown() == {"/second": 0.5, OTHER: 1.0}
    totals.add(at(2 * later + 1))
    totals.add(at(2 * later + 2, cgroup(8.0, path="/first")))
    assert shown() == {"/first": 9.0, OTHER: 1.0}


def test_fewer_series_after_a_reload() -> None:
    with serving() as metrics:
        metrics.on_window(observation(1, *(cgroup(1.0, path=f"/{number}") for number in range(10))))
        metrics.reload(Config(metrics=MetricsConfig(max_cgroups=4)))
        metrics.on_window(observation(2))
        found = scraped(metrics)
    assert len([name for name, _ in found if name == RUN]) == 5


def test_cpus_that_come_and_go() -> None:
    totals = Totals(1, 1, for_terminal)
    for cpus in (1, 3, 2):
        totals.add(replace(at(1), cpus=(CpuWindow(0.5, 0.25, 10),) * cpus))
    assert [cpu.run_ns / NS for cpu in totals.cpus] == [15.0, 10.0, 5.0]
    assert [cpu.switches for cpu in totals.cpus] == [30, 20, 10]
