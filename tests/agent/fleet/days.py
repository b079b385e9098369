"""Workloads of so many days each, and what question 9 tells of them."""

from collections.abc import Mapping
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from agent.fleet.questions import Options, Tables, weeks
from agent.fleet.schema import DAY_S
from benchmarks.fleet_sim import BEGIN_S

Days = npt.NDArray[np.float64]
"""The contention of each workload on each day, in per cent: shape (workloads, days)."""


def changed_days(contention_pct: Days) -> dict[int, int | None]:
    """By workload the day since which it is another, from 0; None: it is not."""
    cgroups = ibis.memtable(pa.Table.from_pylist([*map(_row, np.ndenumerate(contention_pct))]))
    asked = weeks(Tables(None, cgroups, None, None, None), Options())
    return {
        int(row["workload"]): None if row["changed_s"] is None else (row["changed_s"] - BEGIN_S) // DAY_S
        for row in ibis.duckdb.connect().to_pyarrow(asked).to_pylist()
    }


def _row(one: tuple[tuple[int, ...], float]) -> Mapping[str, Any]:
    (workload, day), pct = one
    ran = {"others_ns": round(pct * 1e9), "run_ns": round((100 - pct) * 1e9)}
    return {"workload": str(workload), "owner": "o", "kind": "unit", "time_s": BEGIN_S + day * DAY_S, **ran}
