"""wrk 4 and wrk2: `Requests/sec`, and with `--latency` the percentiles.

Both count error responses as requests, and name errors only where there were any: `errors` is the sum of responses
that are neither 2xx nor 3xx and of socket errors, so that a victim that fails fast does not pass for a fast one.
wrk2 prints its percentiles twice: those of the recorded latency, corrected for requests that could not start in time,
are read, and not the uncorrected ones behind them.
"""

import re

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import (
    failures,
    from_counts,
    latency,
    optional,
    percentile_name,
    required,
)
from agent.experiment.victim_metrics.reader import Reader, last_result

REQUESTS = Metric("requests_per_s", "requests/s", "higher")
TRANSFER = Metric("transfer", "MiB/s", "higher")

# wrk's src/units.c: times go up from us in steps of 1000, then from s in steps of 60; bytes in steps of 1024.
TIME_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
BYTE_UNITS_MIB = {"B": 2**-20, "KB": 2**-10, "MB": 1.0, "GB": 2**10, "TB": 2**20, "PB": 2**30}

_START = re.compile(r"^Running \S+ test @ ", re.MULTILINE)
_END = re.compile(r"^Requests/sec: +\S+$(?:\nTransfer/sec: +\S+$)?", re.MULTILINE)
_REQUESTS = re.compile(r"^Requests/sec: +(\S+)$", re.MULTILINE)
_TRANSFER = re.compile(r"^Transfer/sec: +(\S+)$", re.MULTILINE)
_NON_2XX = re.compile(r"^  Non-2xx or 3xx responses: (\S+)$", re.MULTILINE)
_SOCKETS = re.compile(
    r"^  Socket errors: connect (\S+), read (\S+), write (\S+), timeout (\S+)$", re.MULTILINE
)
_THREAD_LATENCY = re.compile(r"^    Latency +(\S+) +\S+ +(\S+) +\S+$", re.MULTILINE)
_PERCENTILE = re.compile(r"^ *(\d{1,3}(?:\.\d{1,6})?)% +(\S+)$", re.MULTILINE | re.ASCII)
# value, percentile, how many up to there, 1/(1-percentile)
_SPECTRUM = re.compile(r"^ +(\d+\.\d+) +[01]\.\d+ +(\d+) +(?:inf|\d+\.\d+)$", re.MULTILINE | re.ASCII)
_OPEN_LOOP = re.compile(
    r"^  (?:Thread calibration: |Latency Distribution \(HdrHistogram - Recorded)", re.MULTILINE
)
_UNCORRECTED = "  Latency Distribution (HdrHistogram - Uncorrected"


def parse(text: str) -> list[Sample]:
    """Requests per second, then latencies (the average always), transfer and errors."""
    result = last_result(text, _START, _END)
    requests = _REQUESTS.search(result)
    if requests is None:
        return []
    transfer = _TRANSFER.search(result)
    failed = [*_NON_2XX.findall(result), *(count for counts in _SOCKETS.findall(result) for count in counts)]
    return [
        required(REQUESTS, requests[1]),
        *_latencies(result),
        *optional(TRANSFER, transfer and transfer[1], BYTE_UNITS_MIB),
        *failures(failed),
    ]


def _latencies(result: str) -> list[Sample]:
    corrected = result.partition(_UNCORRECTED)[0]
    printed = {percentile_name(percent): value for percent, value in _PERCENTILE.findall(corrected)}
    if summary := _THREAD_LATENCY.search(result):
        printed |= {"avg": summary[1], "max": summary[2]}
    found = [
        sample
        for label, value in printed.items()
        for sample in optional(latency(f"latency_{label}"), value, TIME_UNITS_MS)
    ]
    return from_counts("latency_", found, _counts(corrected))


def _counts(corrected: str) -> list[tuple[float, float]]:
    """The histogram that wrk2 prints as a spectrum of percentiles, in ms."""
    rows = [(float(value), int(upto[:18])) for value, upto in _SPECTRUM.findall(corrected)]
    before = [0, *(upto for _, upto in rows[:-1])]
    return [(value, float(upto - less)) for (value, upto), less in zip(rows, before, strict=False)]


READER = Reader(
    parse,
    "Requests/sec: NUMBER",
    "requests per second; latencies, transfer and errors. One result goes from 'Running' to 'Transfer/sec'",
    _OPEN_LOOP,
)
