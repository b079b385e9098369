"""redis-benchmark 5 to 7 (and valkey-benchmark): its report, `-q`, and `--csv`.

One run holds several tests. Their rates may differ by orders of magnitude, so the primary figure is the
geometric mean: every test counts for the same ratio. Each test's own rate and latencies follow, such as
`SET.latency_p99`. In an output with several runs, a run begins with a header of its own, in another format, or where
a test comes again. Redis 7 ends at the first error reply; older ones show errors when asked to (`-e`), at most one a
second, which `errors` counts.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import (
    checked,
    distinct_names,
    failures,
    latency,
    optional,
    required,
)
from agent.experiment.victim_metrics.reader import Reader

REQUESTS = Metric("requests_per_s", "requests/s", "higher")
COLUMNS = ("avg", "min", "p50", "p95", "p99", "max")
_HEADER = "rps"  # in the place of a rate
LATENCIES = ("avg", "p50", "p95", "p99", "max")

# Bounded in length, because the csv module raises an error on fields of more than 131072 characters.
_CSV_ROW = re.compile(r'^("[^\n]{1,1000}")$', re.MULTILINE)
# A report's own summary line has the same shape, but belongs to the test titled above it.
_QUIET = re.compile(
    r"^(?! *throughput summary: )(.+): (\S+) requests per second(?:, p50=(\S+) msec)?$", re.MULTILINE
)
_TITLE = re.compile(r"^====== (.*) ======$", re.MULTILINE)
_RATE = re.compile(r"^ *(?:throughput summary: )?(\S+) requests per second$", re.MULTILINE)
_LATENCIES = re.compile(r"^ +avg +min +p50 +p95 +p99 +max\n +([^\n]+)$", re.MULTILINE)


_ERROR = re.compile(r"^Error from server", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Test:
    """One test of a run, as printed: in which form, and where it ends in the text."""

    form: str
    end: int
    name: str
    rate: str
    latencies_ms: Mapping[str, str]


def parse(text: str) -> list[Sample]:
    """The geometric mean of the tests' requests per second, then each test's rate and latencies."""
    # Progress is drawn over itself with carriage returns; as lines of their own, its states match nothing.
    lines = text.replace("\r", "\n")
    begin, tests = _last_run(lines)
    names = distinct_names(test.name for test in tests)
    own = [[_rate(name, test), *_latencies(name, test)] for name, test in zip(names, tests, strict=True)]
    if not own:
        return []
    errors = failures("1" for _ in _ERROR.finditer(lines, begin))
    return [_geometric_mean([samples[0] for samples in own]), *chain.from_iterable(own), *errors]


def _last_run(lines: str) -> tuple[int, list[_Test]]:
    """Where the last run begins, and its tests."""
    found = (*_csv_tests(lines), *_quiet_tests(lines), *_report_tests(lines))
    begin, names = 0, set[str]()
    run: list[_Test] = []
    previous: _Test | None = None
    for test in sorted(found, key=lambda test: test.end):
        if test.name in names or test.rate == _HEADER or (previous and previous.form != test.form):
            begin, run, names = previous.end if previous else 0, [], set()
        previous = test
        if test.rate != _HEADER:
            run.append(test)
            names.add(test.name)
    return begin, run


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
    for line in _CSV_ROW.finditer(lines):
        row = next(csv.reader([line[1]]))
        if len(row) >= 2:
            yield _Test("csv", line.end(), row[0], row[1], dict(zip(COLUMNS, row[2:], strict=False)))


def _quiet_tests(lines: str) -> Iterator[_Test]:
    for line in _QUIET.finditer(lines):
        yield _Test("quiet", line.end(), line[1], line[2], {"p50": line[3]} if line[3] else {})


def _report_tests(lines: str) -> Iterator[_Test]:
    titles = [*_TITLE.finditer(lines)]
    ends = [*(title.start() for title in titles[1:]), len(lines)]
    for title, end in zip(titles, ends, strict=False):
        rate = _RATE.search(lines, title.end(), end)
        latencies = _LATENCIES.search(lines, title.end(), end)
        if rate:
            values = latencies[1].split() if latencies else []
            yield _Test("report", rate.end(), title[1], rate[1], dict(zip(COLUMNS, values, strict=False)))


READER = Reader(
    parse,
    "NUMBER requests per second, or a --csv table",
    "the tests' mean requests per second; each test's own, its latencies, and errors. One result is a run: it "
    "goes until a test comes again",
    re.compile(r"(?!)"),  # always as many requests as clients
)
