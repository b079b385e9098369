"""The built-in victim, `python -m agent.selftest.workloads.victim`: lines of `key=value unit`.

The keys are the metrics' names and the units are the base units, so nothing is converted.
"""

import re
from itertools import chain

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import latency, optional, required
from agent.experiment.victim_metrics.reader import Reader

OPERATIONS = Metric("operations_per_s", "operations/s", "higher")
FURTHER = (
    Metric("work_duration", "s", "lower"),
    *(latency(f"latency_{label}") for label in ("p50", "p95", "p99", "max")),
)

_START = re.compile(r"^operations=", re.MULTILINE)
_LINE = re.compile(r"^(\w+)=(\S+) (\S+)$", re.MULTILINE | re.ASCII)


def parse(text: str) -> list[Sample]:
    """Operations per second, then the victim's own duration and its latencies."""
    begin = max((match.start() for match in _START.finditer(text)), default=0)
    printed = {(key, unit): value for key, value, unit in _LINE.findall(text, begin)}
    rate = printed.get((OPERATIONS.name, OPERATIONS.unit))
    if rate is None:
        return []
    further = (optional(metric, printed.get((metric.name, metric.unit))) for metric in FURTHER)
    return [required(OPERATIONS, rate), *chain.from_iterable(further)]


READER = Reader(
    parse,
    "operations_per_s=NUMBER operations/s",
    "operations per second, duration and latencies of the built-in victim. One result begins with 'operations='",
)
