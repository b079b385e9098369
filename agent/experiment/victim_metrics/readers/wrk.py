"""wrk 4: `Requests/sec`, and with `--latency` the percentiles 50, 75, 90 and 99.

wrk counts error responses as requests. They are read as `non_2xx_responses`, so that a victim that fails fast
does not pass for a fast one unnoticed.
"""

import re

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import latency, optional, percentile_name, required
from agent.experiment.victim_metrics.reader import Reader

REQUESTS = Metric("requests_per_s", "requests/s", "higher")
TRANSFER = Metric("transfer", "MiB/s", "higher")
NON_2XX = Metric("non_2xx_responses", "responses", "lower")

# wrk's src/units.c: times go up from us in steps of 1000, then from s in steps of 60; bytes in steps of 1024.
TIME_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
BYTE_UNITS_MIB = {"B": 2**-20, "KB": 2**-10, "MB": 1.0, "GB": 2**10, "TB": 2**20, "PB": 2**30}

_REQUESTS = re.compile(r"^Requests/sec: +(\S+)$", re.MULTILINE)
_TRANSFER = re.compile(r"^Transfer/sec: +(\S+)$", re.MULTILINE)
_NON_2XX = re.compile(r"^  Non-2xx or 3xx responses: (\S+)$", re.MULTILINE)
_THREAD_LATENCY = re.compile(r"^    Latency +(\S+) +\S+ +(\S+) +\S+$", re.MULTILINE)
_PERCENTILE = re.compile(r"^ +(\d{1,3}(?:\.\d{1,6})?)% +(\S+)$", re.MULTILINE | re.ASCII)


def parse(text: str) -> list[Sample]:
    """Requests per second, then latencies (average and maximum always), transfer and error responses."""
    requests = _REQUESTS.search(text)
    if requests is None:
        return []
    transfer, failed = _TRANSFER.search(text), _NON_2XX.search(text)
    return [
        required(REQUESTS, requests[1]),
        *_latencies(text),
        *optional(TRANSFER, transfer and transfer[1], BYTE_UNITS_MIB),
        *optional(NON_2XX, failed and failed[1]),
    ]


def _latencies(text: str) -> list[Sample]:
    printed = {percentile_name(percent): value for percent, value in _PERCENTILE.findall(text)}
    if summary := _THREAD_LATENCY.search(text):
        printed |= {"avg": summary[1], "max": summary[2]}
    return [
        sample
        for label, value in printed.items()
        for sample in optional(latency(f"latency_{label}"), value, TIME_UNITS_MS)
    ]


READER = Reader(parse, "Requests/sec: NUMBER")
