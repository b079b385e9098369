"""redis-benchmark 5 to 7 (and valkey-benchmark): its report, `-q`, and `--csv`.

One run holds several tests. Their rates may differ by orders of magnitude, so the primary figure is the
geometric mean: every test counts for the same ratio. Each test's own rate and latencies follow, such as
`SET.latency_p99`.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import checked, distinct_names, latency, optional, required
from agent.experiment.victim_metrics.reader import Reader

REQUESTS = Metric("requests_per_s", "requests/s", "higher")
COLUMNS = ("avg", "min", "p50", "p95", "p99", "max")
LATENCIES = ("avg", "p50", "p95", "p99", "max")

# Bounded in length, because the csv module raises an error on fields of more than 131072 characters.
_CSV_ROW = re.compile(r'^"[^\n]{1,1000}"$', re.MULTILINE)
# A report's own summary line has the same shape, but belongs to the test titled above it.
_QUIET = re.compile(
    r"^(?! *throughput summary: )(.+): (\S+) requests per second(?:, p50=(\S+) msec)?$", re.MULTILINE
)
_TITLE = re.compile(r"^====== (.*) ======$", re.MULTILINE)
_RATE = re.compile(r"^ *(?:throughput summary: )?(\S+) requests per second$", re.MULTILINE)
_LATENCIES = re.compile(r"^ +avg +min +p50 +p95 +p99 +max\n +([^\n]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Test:
    """One test of a run, as printed."""

    name: str
    rate: str
    latencies_ms: Mapping[str, str]


def parse(text: str) -> list[Sample]:
    """The geometric mean of the tests' requests per second, then each test's rate and latencies."""
    # Progress is drawn over itself with carriage returns; as lines of their own, its states match nothing.
    lines = text.replace("\r", "\n")
    tests = [*_csv_tests(lines)] or [*_quiet_tests(lines)] or [*_report_tests(lines)]
    names = distinct_names(test.name for test in tests)
    own = [[_rate(name, test), *_latencies(name, test)] for name, test in zip(names, tests, strict=True)]
    return [_geometric_mean([samples[0] for samples in own]), *chain.from_iterable(own)] if own else []


def _geometric_mean(rates: list[Sample]) -> Sample:
    mean = math.prod(rate.value ** (1 / len(rates)) for rate in rates)
    return checked(REQUESTS, mean, f"{mean}")


def _rate(name: str, test: _Test) -> Sample:
    return required(Metric(f"{name}.{REQUESTS.name}", REQUESTS.unit, REQUESTS.better), test.rate)


def _latencies(name: str, test: _Test) -> list[Sample]:
    printed = [(latency(f"{name}.latency_{label}"), test.latencies_ms.get(label)) for label in LATENCIES]
    return [sample for metric, value in printed for sample in optional(metric, value)]


def _csv_tests(lines: str) -> Iterator[_Test]:
    """Redis 7 prints a header and eight columns, Redis 5 the name and the rate alone."""
    for line in _CSV_ROW.findall(lines):
        row = next(csv.reader([line]))
        if len(row) >= 2 and row[1] != "rps":
            yield _Test(row[0], row[1], dict(zip(COLUMNS, row[2:], strict=False)))


def _quiet_tests(lines: str) -> Iterator[_Test]:
    for name, rate, p50 in _QUIET.findall(lines):
        yield _Test(name, rate, {"p50": p50})


def _report_tests(lines: str) -> Iterator[_Test]:
    _, *parts = _TITLE.split(lines)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        rate, latencies = _RATE.search(body), _LATENCIES.search(body)
        values = latencies[1].split() if latencies else []
        if rate:
            yield _Test(name, rate[1], dict(zip(COLUMNS, values, strict=False)))


READER = Reader(parse, "NUMBER requests per second, or a --csv table")
