"""One file a reader: each knows one tool's output and nothing else.

Readers look for whole lines, from start to end, so that reading stays linear in the size of an output that
the victim may have made hostile.
"""

from collections.abc import Mapping

from agent.experiment.victim_metrics.reader import Reader
from agent.experiment.victim_metrics.readers import (
    fio,
    jostle_victim,
    pgbench,
    redis_benchmark,
    sysbench,
    wrk,
)

READERS: Mapping[str, Reader] = {
    "fio": fio.READER,
    "jostle-victim": jostle_victim.READER,
    "pgbench": pgbench.READER,
    "redis-benchmark": redis_benchmark.READER,
    "sysbench": sysbench.READER,
    "wrk": wrk.READER,
}
