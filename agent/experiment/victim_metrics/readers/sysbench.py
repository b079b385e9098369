"""sysbench 1.0: every test prints the general statistics, some print a rate of their own.

The primary figure is `MiB/sec` for memory, `events per second` for cpu, and for the others (threads, mutex,
fileio, oltp) the number of events over the total time. That time is printed in steps of 0.1 ms: give the
mutex test, whose work is fixed, enough loops to last a second. `errors` are the errors that oltp tests ignore.
"""

import re

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import (
    checked,
    failures,
    from_counts,
    latency,
    optional,
    percentile_name,
    required,
    scaled,
)
from agent.experiment.victim_metrics.reader import Reader, last_result

EVENTS = Metric("events_per_s", "events/s", "higher")
OPERATIONS = Metric("operations_per_s", "operations/s", "higher")
BANDWIDTH = Metric("bandwidth", "MiB/s", "higher")

_START = re.compile(r"^(?:Running the test with following options:|.*Checkpoint report:)$", re.MULTILINE)
_END = re.compile(r"^ +execution time \(avg/stddev\): .*$", re.MULTILINE)
_MEMORY = re.compile(r"^\S+ MiB transferred \((\S+) MiB/sec\)$", re.MULTILINE)
_OPERATIONS = re.compile(r"^Total operations: \S+ \((\S+) per second\)$", re.MULTILINE)
_EVENTS_PER_SECOND = re.compile(r"^ +events per second: +(\S+)$", re.MULTILINE)
_TOTAL_TIME = re.compile(r"^ +total time: +(\S+)s$", re.MULTILINE)
_TOTAL_EVENTS = re.compile(r"^ +total number of events: +(\S+)$", re.MULTILINE)
_IGNORED = re.compile(r"^ +ignored errors: +(\S+) +\(", re.MULTILINE)
_LATENCY = re.compile(r"^ +(avg|max|(\d{1,3})th percentile): +(\S+)$", re.MULTILINE | re.ASCII)

# With --histogram: values in ms, a bar, how many.
_HISTOGRAM = re.compile(r"^ +(\d+\.\d+) \|\** +(\d+)$", re.MULTILINE | re.ASCII)
_OPEN_LOOP = re.compile(r"^Target transaction rate: ", re.MULTILINE)


def parse(text: str) -> list[Sample]:
    """The throughput, then the latencies, the errors and, for memory, the operations per second."""
    result = last_result(text, _START, _END) or text
    throughput = _throughput(result)
    if throughput is None:
        return []
    operations = _OPERATIONS.search(result)
    return [
        throughput,
        *optional(OPERATIONS, operations and operations[1]),
        *_latencies(result),
        *failures(_IGNORED.findall(result)),
    ]


def _throughput(text: str) -> Sample | None:
    if memory := _MEMORY.search(text):
        return required(BANDWIDTH, memory[1])
    if rate := _EVENTS_PER_SECOND.search(text):
        return required(EVENTS, rate[1])
    events, time = _TOTAL_EVENTS.search(text), _TOTAL_TIME.search(text)
    return _rate(events[1], time[1]) if events and time else None


def _rate(events: str, time_s: str) -> Sample:
    count, seconds = scaled(events), scaled(time_s)
    value = count / seconds if count is not None and seconds else None
    return checked(EVENTS, value, f"{events} events in {time_s} s")


def _latencies(text: str) -> list[Sample]:
    found = [
        sample
        for label, percent, printed in _LATENCY.findall(text)
        for sample in optional(latency(f"latency_{percentile_name(percent) if percent else label}"), printed)
    ]
    counts = [(float(value), float(count[:18])) for value, count in _HISTOGRAM.findall(text)]
    return from_counts("latency_", found, counts)


READER = Reader(
    parse,
    "events per second, MiB/sec, or total number of events and total time, and execution time behind them",
    "events per second, or MiB/s for memory; latencies and errors. One result ends with 'execution time', also at a "
    "checkpoint",
    _OPEN_LOOP,
)
