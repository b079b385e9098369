"""fio 3: its normal report and `--output-format=json`.

The primary figure is the I/O operations per second of all jobs and directions together. Completion latencies
(clat) stay apart per direction, and per job where there are several, because percentiles cannot be added up.
With `--status-interval` fio prints report after report, each of all the time so far: the last is read. With several
clients it prints each of them and then all together, of which the last is read. `errors` are the I/O errors that
`continue_on_error` went on after, and the jobs that ended with one.
The normal report rounds rates to three digits, a step of up to 1 %: prefer JSON where small effects matter.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import (
    checked,
    distinct_names,
    failures,
    from_counts,
    if_positive,
    latency,
    percentile_name,
    scaled,
)
from agent.experiment.victim_metrics.reader import Reader

IOPS = Metric("iops", "IO/s", "higher")
BANDWIDTH = Metric("bandwidth", "MiB/s", "higher")
CLAT = ("p50", "p95", "p99", "max")
DIRECTIONS = ("read", "write", "trim", "mixed")  # mixed: --unified_rw_reporting

NS_PER_MS = 1e6
BYTES_PER_MIB = 2**20
# fio's lib/num2str.c and stat.c: rates in powers of 1000, bandwidth in the unit that --kb_base asks for.
COUNT_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
TIME_UNITS_MS = {"nsec": 1e-6, "usec": 1e-3, "msec": 1.0, "sec": 1e3}
BANDWIDTH_UNITS_MIB = {
    "B/s": 2**-20,
    **{
        f"{prefix}i": 1024.0**power / BYTES_PER_MIB for power, prefix in enumerate("KMGT", start=1)
    },  # all clients
    **{f"{prefix}iB/s": 1024.0**power / BYTES_PER_MIB for power, prefix in enumerate("KMGT", start=1)},
    **{f"{prefix}B/s": 1000.0**power / BYTES_PER_MIB for power, prefix in enumerate("kMGT", start=1)},
}

ALL_CLIENTS = "All clients"
# Documents that are cut short or not fio's are few: more attempts than this may take long.
MOST_DOCUMENTS = 50

_JOB = re.compile(r"^(.*): \(groupid=\d+, jobs=\d+\): err= *(\d+).*$", re.MULTILINE)
_END = re.compile(r"^Run status group \d+ ", re.MULTILINE)
_TOTAL_ERRORS = re.compile(r"^ +errors +: total= *(\d+),", re.MULTILINE)
_DIRECTION = re.compile(r"^ +(read|write|trim|mixed): IOPS=([^\s,]+), BW=(\S+) .*$", re.MULTILINE)
_CLAT = re.compile(r"^ +clat \((\w+)\): min= *[^\s,]+, max= *([^\s,]+),", re.MULTILINE)
_PERCENTILES = re.compile(r"^ +clat percentiles \((\w+)\):\n((?: +\|.*\n)*)", re.MULTILINE)
_PERCENTILE = re.compile(r"(\d{1,3}\.\d{1,6})th=\[ *(\d+)\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Job:
    """One job of a result: its directions, and its errors as printed."""

    name: str
    directions: tuple["_Direction", ...]
    errors: str


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction of one job; None where the output does not say."""

    job: str
    name: str
    iops: float | None
    bandwidth_mib: float | None
    clat_ms: Mapping[str, float | None]
    counts: tuple[tuple[float, float], ...] = ()  # with --output-format=json+: completion latencies in ms


def parse(text: str) -> list[Sample]:
    """Total I/O per second, total bandwidth, then every direction's own figures, such as `read.clat_p99`."""
    jobs = _together([*_json_jobs(text)] or _report_jobs(text))
    directions = [direction for job in jobs for direction in job.directions]
    if not directions:
        return []
    iops = _total(direction.iops for direction in directions)
    bandwidth_mib = _total(direction.bandwidth_mib for direction in directions)
    own = [
        sample
        for name, direction in zip(_names(directions), directions, strict=True)
        for sample in _own_samples(name, direction)
    ]
    errors = failures(job.errors for job in jobs)
    return [checked(IOPS, iops, f"{iops}"), *if_positive(BANDWIDTH, bandwidth_mib), *own, *errors]


def _total(values: Iterable[float | None]) -> float | None:
    """The sum, or None if one of its terms is unknown."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _names(directions: list[_Direction]) -> list[str]:
    """`read`, or `JOB.read` where the output holds several jobs."""
    several = len({direction.job for direction in directions}) > 1
    return distinct_names(f"{item.job}.{item.name}" if several else item.name for item in directions)


def _own_samples(name: str, direction: _Direction) -> Iterator[Sample]:
    yield from if_positive(Metric(f"{name}.iops", IOPS.unit, IOPS.better), direction.iops)
    yield from if_positive(
        Metric(f"{name}.bandwidth", BANDWIDTH.unit, BANDWIDTH.better), direction.bandwidth_mib
    )
    prefix = f"{name}.clat_"
    printed = [
        sample
        for label in CLAT
        for sample in if_positive(latency(f"{prefix}{label}"), direction.clat_ms.get(label))
    ]
    yield from from_counts(prefix, printed, direction.counts)


def _together(jobs: list[_Job]) -> list[_Job]:
    """All clients together, where fio says so, in place of each."""
    return [job for job in jobs if job.name == ALL_CLIENTS][-1:] or jobs


def _report_jobs(text: str) -> list[_Job]:
    """The jobs of the last complete report: those before its summary, and behind that of the report before.

    A report of all clients has no summary of its own.
    """
    found: list[_Job] = []
    complete: list[_Job] = []
    _, *parts = _JOB.split(text)
    for name, errors, body in zip(*(parts[start::3] for start in range(3)), strict=True):
        found.append(_report_job(name, errors, body))
        if _END.search(body) or name == ALL_CLIENTS:
            complete, found = found, []
    return complete or found


def _report_job(name: str, errors: str, body: str) -> _Job:
    _, *parts = _DIRECTION.split(body)
    directions = (
        _Direction(
            name,
            direction,
            scaled(iops, COUNT_UNITS),
            scaled(bandwidth, BANDWIDTH_UNITS_MIB),
            _report_clat(details),
        )
        for direction, iops, bandwidth, details in zip(*(parts[start::4] for start in range(4)), strict=True)
    )
    total = _TOTAL_ERRORS.search(body)
    return _Job(name, tuple(directions), total[1] if total else str(min(1, int(errors[:9]))))


def _report_clat(details: str) -> dict[str, float | None]:
    clat_ms: dict[str, float | None] = {}
    if block := _PERCENTILES.search(details):
        for percent, value in _PERCENTILE.findall(block[2]):
            clat_ms[percentile_name(percent)] = _time_ms(value, block[1])
    if summary := _CLAT.search(details):
        clat_ms["max"] = _time_ms(summary[2], summary[1])
    return clat_ms


def _time_ms(printed: str, unit: str) -> float | None:
    value, factor = scaled(printed, COUNT_UNITS), TIME_UNITS_MS.get(unit)
    return None if value is None or factor is None else value * factor


def _json_jobs(text: str) -> Iterator[_Job]:
    for job in _last_jobs(text):
        name = str(_at(job, "jobname"))
        directions = tuple(
            _json_direction(name, direction, figures)
            for direction in DIRECTIONS
            if _number(_at(figures := _at(job, direction), "total_ios"))
        )
        total, error = _at(job, "total_err"), _at(job, "error")
        yield _Job(name, directions, str(total) if total else "1" if error else "0")


def _json_direction(job: str, name: str, figures: object) -> _Direction:
    clat_ns = _at(figures, "clat_ns")
    percentiles = _at(clat_ns, "percentile")
    printed = {"max": _at(clat_ns, "max")}
    if isinstance(percentiles, dict):
        printed |= {f"p{percent:g}": _at(percentiles, f"{percent:.6f}") for percent in (50, 95, 99)}
    clat_ms = {label: _number(value, NS_PER_MS) for label, value in printed.items()}
    bandwidth_mib = _number(_at(figures, "bw_bytes"), BYTES_PER_MIB)
    iops = _number(_at(figures, "iops"))
    return _Direction(job, name, iops, bandwidth_mib, clat_ms, _bins(_at(clat_ns, "bins")))


def _bins(bins: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(bins, dict):
        return ()
    rows = ((scaled(str(value)), _number(count)) for value, count in bins.items())
    return tuple(
        sorted((value / NS_PER_MS, count) for value, count in rows if value is not None and count is not None)
    )


def _last_jobs(text: str) -> list[object]:
    """The jobs, or clients, of the last whole document: fio prints notes before it and may print a report after it."""
    starts = [match.start() for match in re.finditer(r"^\{", text, re.MULTILINE)]
    for start in starts[: -MOST_DOCUMENTS - 1 : -1]:
        try:
            document: object = json.JSONDecoder().raw_decode(text, start)[0]
        except (ValueError, RecursionError):  # cut short, or not fio's
            continue
        jobs = _at(document, "jobs") or _at(document, "client_stats")
        if isinstance(jobs, list):
            return jobs
    return []


def _at(document: object, key: str) -> object:
    return document.get(key) if isinstance(document, dict) else None


def _number(value: object, divisor: float = 1.0) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value / divisor
    except OverflowError:  # an integer too large for a float
        return None


READER = Reader(
    parse,
    "a report with read: IOPS=NUMBER, or a JSON document",
    "I/O per second of all jobs; bandwidth, latencies and errors. One result is a JSON document, or the jobs "
    "up to 'Run status group'",
    re.compile(r"rate_iops|rate_process"),
)
