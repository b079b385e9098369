"""pgbench: `tps` over the whole run, and the average latency. It prints no percentiles.

Before PostgreSQL 14 it printed two rates, with and without the time to connect: the last, without, is read.
"""

import re

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import latency, optional, required
from agent.experiment.victim_metrics.reader import Reader

TRANSACTIONS = Metric("tps", "transactions/s", "higher")

# At the start of the line: the rates of single scripts are indented, progress goes to standard error.
_TPS = re.compile(r"^tps = (\S+) \((?:including|excluding|without) ", re.MULTILINE)
_LATENCY_MS = re.compile(r"^latency average = (\S+) ms$", re.MULTILINE)


def parse(text: str) -> list[Sample]:
    """Transactions per second, then the average latency."""
    rates = _TPS.findall(text)
    if not rates:
        return []
    average = _LATENCY_MS.search(text)
    return [
        required(TRANSACTIONS, rates[-1]),
        *optional(latency("latency_avg"), average and average[1]),
    ]


READER = Reader(parse, "tps = NUMBER (without initial connection time)")
