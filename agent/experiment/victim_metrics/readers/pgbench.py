"""pgbench: `tps` over the whole run, the average latency, and the transactions that failed or were skipped.

It prints no percentiles. Before PostgreSQL 14 it printed two rates, with and without the time to connect: the last,
without, is read. Failed transactions are not in `tps`, and are in the average latency where there are any.
"""

import re

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import failures, latency, optional, required
from agent.experiment.victim_metrics.reader import Reader, last_result

TRANSACTIONS = Metric("tps", "transactions/s", "higher")

SKIPPED = Metric("skipped", "transactions", "lower", is_failure_count=True)

_START = re.compile(r"^transaction type: ", re.MULTILINE)
# At the start of the line: the rates of single scripts are indented, progress goes to standard error.
_END = re.compile(r"^tps = \S+ \((?:excluding|without|including reconnection) .*$", re.MULTILINE)
_TPS = re.compile(r"^tps = (\S+) \((?:including|excluding|without) ", re.MULTILINE)
_LATENCY_MS = re.compile(r"^latency average = (\S+) ms(?: \(including failures\))?$", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\S+) \(", re.MULTILINE)
_SKIPPED = re.compile(r"^number of transactions skipped: (\S+) \(", re.MULTILINE)


def parse(text: str) -> list[Sample]:
    """Transactions per second, then the average latency and the failures."""
    result = last_result(text, _START, _END)
    rates = _TPS.findall(result)
    if not rates:
        return []
    average = _LATENCY_MS.search(result)
    return [
        required(TRANSACTIONS, rates[-1]),
        *optional(latency("latency_avg"), average and average[1]),
        *failures(_FAILED.findall(result)),
        *failures(_SKIPPED.findall(result), SKIPPED),
    ]


READER = Reader(
    parse,
    "tps = NUMBER (without initial connection time)",
    "transactions per second; average latency, errors (failed transactions) and skipped ones. One result goes from "
    "'transaction type' to 'tps'",
    re.compile(r"^rate limit schedule lag: ", re.MULTILINE),
)
