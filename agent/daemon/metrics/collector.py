"""What a scraper is given: the families of the Prometheus client, made from the totals and the events."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Lock

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.daemon.config import MetricsConfig
from agent.daemon.metrics import families
from agent.daemon.metrics.totals import Totals
from agent.daemon.sinks import Observation
from agent.documents.event import Event, EventState
from collectors.windows.sched import NS_PER_S, OTHER

# A window that is this many lengths late, and this long, on a machine that is busy, does not come.
_LATE_WINDOWS, _LATE_S = 3, 5.0


class Gathered(Collector):
    """Fed by one thread, scraped by others. `escape` makes a tenant's name harmless wherever a label is shown."""

    def __init__(self, config: MetricsConfig, escape: Callable[[str], str]) -> None:
        self._escape = escape
        self._most = config.max_cgroups
        self._detail = config.detail
        self._totals = Totals(config.max_cgroups, config.max_pairs, escape)
        self._events: Counter[families.LabelValues] = Counter()
        self._raised: dict[families.LabelValues, Event] = {}
        self._latest: Observation | None = None
        self._lost_before = 0
        self._families: list[Metric] | None = None
        self._lock = Lock()

    def add(self, observation: Observation) -> None:
        """Add one window to the totals that scrapers see."""
        with self._lock:
            self._totals.add(observation.sched)
            self._lost_before = self._latest.health.lost_windows if self._latest else 0
            self._latest, self._families = observation, None

    def add_event(self, event: Event) -> None:
        """Count one event, and keep or drop it among those that are raised now."""
        key = (event.victim, event.indicator, event.method, str(event.since_utc_ns))
        with self._lock:
            self._families = None
            if event.state is EventState.RAISED:
                self._events[event.indicator, event.cause.value] += 1
                self._raised[key] = event
            else:
                self._raised.pop(key, None)

    def limit(self, config: MetricsConfig) -> None:
        """Keep at most as many cgroups and pairs as this configuration allows, from the next window on."""
        with self._lock:
            self._most = config.max_cgroups
            self._detail, self._families = config.detail, None
            self._totals.cgroups.most = config.max_cgroups
            self._totals.pairs.most = config.max_pairs

    def not_ready(self) -> str | None:
        """Why what is scraped now is not what goes on: no window yet or any more, one lost, a sink in trouble."""
        with self._lock:
            latest, lost_before = self._latest, self._lost_before
        if latest is None:
            return "no window has been read yet"
        late_s = (time.time_ns() - latest.end_utc_ns) / NS_PER_S
        if late_s > _LATE_WINDOWS * latest.sched.duration_ns / NS_PER_S + _LATE_S:
            return f"the latest window ended {late_s:.0f} s ago"
        lost = latest.health.lost_windows - lost_before
        if lost:
            return f"{lost} windows were lost before the latest"
        stuck = [f"{sink.name}: {sink.trouble}" for sink in latest.health.sinks if sink.trouble]
        return "; ".join(stuck) or None

    def collect(self) -> Iterator[Metric]:
        """The families, made once per window however many scrape."""
        with self._lock:
            if self._families is None:
                self._families = [_without_unknown(family) for family in self._made()]
            families = self._families
        yield from families

    def _made(self) -> Iterator[Metric]:
        every = self._detail == "all"
        yield from (each for each in families.scheduler(self._totals) if every or families.is_essential(each))
        if self._latest is not None:
            yield from families.agent(self._latest)
        yield self._counted_events()
        yield self._raised_events()

    def _counted_events(self) -> Metric:
        family = CounterMetricFamily(
            "jostle_events", "Events raised, by what they are put down to.", labels=["indicator", "cause"]
        )
        for labels, count in self._events.items():
            family.add_metric(labels, count)
        return family

    def _raised_events(self) -> Metric:
        """As many as there may be cgroups, the later ones together. Names that look the same add up."""
        numbers: Counter[families.LabelValues] = Counter()
        for number, event in enumerate(self._raised.values()):
            first = event.suspects[0].cgroup if event.suspects else ""
            victim, suspect = (
                (event.victim, first) if number < self._most else (OTHER, OTHER if first else "")
            )
            pair = self._escape(victim), self._escape(suspect)
            named = (*self._totals.named(pair[0]), *self._totals.named(pair[1]))
            numbers[pair[0], event.indicator, event.cause.value, pair[1], *named] += 1
        family = GaugeMetricFamily(
            "jostle_event_active",
            "Events that are raised and not yet cleared, with the first suspect, if any.",
            labels=["victim", "indicator", "cause", "suspect", *families.named_of("victim", "suspect")],
        )
        for labels, count in numbers.items():
            family.add_metric(labels, count)
        return family


def _without_unknown(family: Metric) -> Metric:
    """A label without a value is none (Prometheus' data model): most cgroups of a host are in no pod."""
    family.samples = [
        sample._replace(
            labels={
                name: value for name, value in sample.labels.items() if value or name not in families.NAMES
            }
        )
        for sample in family.samples
    ]
    return family
