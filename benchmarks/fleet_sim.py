"""A fleet with planted truths, written by the code that ships a real one.

    python -m benchmarks.fleet_sim DATASET [--hosts 20] [--days 1] [--hours 24] [--fillers 8]
    python -m benchmarks.fleet_sim DATASET --clone 10000    # of the compacted days of DATASET, into DATASET.10000

Each host's windows of five minutes go through a history of its own and `agent.fleet.ship`. The truths:

| question | what is planted |
|---|---|
| aggressors | `batch/crunch-1/worker` costs most, then 2, 3, 4, 5 |
| victims, slower | `shop/web/nginx`; on `host-00007` it is held up three times as much as elsewhere |
| knee | CPU model `Early` from 60 % utilisation on, `Late` from 85 % |
| change | hosts with kernel `6.9-bad` lose half as much again |
| limits | owner `payments`: its quota is half of what it wants |
| weeks | `shop/cart/app` waits three times as much from day 9 on |
| incidents | one on `host-00003`, of web, behind crunch |
| coverage | `host-00005` did not report in its first hour |
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from agent.documents.event import Event, EventCause, EventState, Suspect
from agent.documents.verdict_parts import Host
from agent.fleet import ship as shipping
from agent.fleet.place import Folder
from agent.fleet.schema import TABLES, VERSION
from agent.store.history import opened
from agent.store.run_file import pack
from agent.store.windows import WindowWriter, insert_event, insert_facts
from collectors.host.workloads import Workload
from collectors.windows.figures import CgroupFigures, CgroupSignals
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import REST, CgroupWindow, CpuWindow, SchedWindow, WaitFor
from collectors.windows.signals import HostSignals, SignalWindow

NS = 10**9
BEGIN_S = 1_780_272_000  # 2026-06-01T00:00 UTC, a Monday
WINDOW_S, CPUS = 300, 16
KNEES = {"Early": 0.6, "Late": 0.85}
CHANGE_DAY = 9
_CALM, _LATE = 41, 61  # buckets of about 0.3 and 10 ms


class SimulatedHost:
    """One host, by its number."""

    def __init__(self, number: int, fillers: int) -> None:
        self.number, self.name = number, f"host-{number:05d}"
        self.model = "Early" if number % 4 == 0 else "Late"
        self.kernel = "6.9-bad" if number % 7 == 2 else "6.1"
        self.random = random.Random(number)  # noqa: S311  a simulation
        crunch = f"crunch-{number % 5 + 1}"
        pods = [("shop", "web", "nginx"), ("shop", "cart", "app"), ("payments", "ledger", "app")]
        pods += [("batch", crunch, "worker")]
        pods += [(f"team-{each % 5}", f"svc-{each}", "app") for each in range(fillers)]
        self.workloads = dict(self._pod(*pod) for pod in pods)
        self.web, self.cart, self.ledger, self.crunch, *self.fillers = self.workloads

    def _pod(self, namespace: str, app: str, container: str) -> tuple[str, Workload]:
        path = f"/kubepods/pod-{namespace}-{app}/{container}"
        # As a ReplicaSet names it: another on every host.
        letters = self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=14)
        pod = f"{app}-{''.join(letters[:9])}-{''.join(letters[9:])}"
        named = Workload("container", path, path, namespace=namespace, pod_name=pod, container_name=container)
        return path, named

    def window(self, begin_s: int) -> SchedWindow:
        """Five minutes of it."""
        util = 0.25 + 0.7 * ((self.number * 37 + begin_s // WINDOW_S * 13) % 97) / 97
        late = util >= KNEES[self.model]
        ratio = (
            (0.2 if late else 0.02)
            * (1.5 if self.kernel == "6.9-bad" else 1.0)
            * self.random.uniform(0.9, 1.1)
        )
        weight = 0.9 * 0.7 ** (self.number % 5)  # of crunch-1 most is waited for
        room_ns = CPUS * WINDOW_S * NS
        shares = {self.web: 0.2, self.cart: 0.1, self.ledger: 0.05, self.crunch: 0.4}
        shares |= dict.fromkeys(self.fillers, 0.25 / max(1, len(self.fillers)))
        day = (begin_s - BEGIN_S) // 86400
        cgroups = {}
        for path, share in shares.items():
            run_ns = round(room_ns * util * share)
            slowed = 3.0 if path == self.web and self.number == 7 else 1.0
            slowed *= 3.0 if path == self.cart and day >= CHANGE_DAY else 1.0
            wait_ns = round(run_ns * ratio * slowed) if path != self.crunch else 0
            cgroups[path] = self._cgroup(path, run_ns, wait_ns, weight, late=late)
        free = _figures()
        limited = _figures(
            limit_cpus=1.0, nr_periods=3000, nr_throttled=1200, throttled_own_ns=WINDOW_S * NS // 4
        )
        return SchedWindow(
            end_ns=0,
            duration_ns=WINDOW_S * NS,
            cgroups=cgroups,
            cpus=tuple(CpuWindow(util, util * ratio, 100_000) for _ in range(CPUS)),
            untracked=0,
            signals=SignalWindow(
                cgroups={path: limited if path == self.ledger else free for path in cgroups},
                host=HostSignals(cpus={}, pressure={}),
                names=self.workloads,
            ),
        )

    def _cgroup(self, path: str, run_ns: int, wait_ns: int, weight: float, *, late: bool) -> CgroupWindow:
        throttled_ns = run_ns if path == self.ledger else 0
        waits = [0] * len(EDGES_NS)
        waits[_LATE if late else _CALM] = 1 + wait_ns // (10**7 if late else 3 * 10**5)
        behind_crunch_ns = round(wait_ns * weight)
        other = next(
            each for each in (self.random.choice(self.fillers), self.fillers[0], self.web) if each != path
        )
        return CgroupWindow(
            path=path,
            run_ns=run_ns,
            wait_ns=wait_ns + throttled_ns,
            self_ns=0,
            wakeup_ns=0,
            throttled_ns=throttled_ns,
            unattributed_ns=0,
            preempt_wait_ns=wait_ns // 3,
            stolen_ns=0,
            switches=run_ns // 10**6,
            preempted_own=0,
            preempted_foreign=wait_ns // 10**7,
            preempted_throttled=0,
            sampled_ns=0,
            histogram=tuple(waits),
            waited_for={
                self.crunch: WaitFor(behind_crunch_ns, 5),
                other: WaitFor(wait_ns // 100, 1),
                REST: WaitFor(wait_ns - behind_crunch_ns - wait_ns // 100, 1),
            }
            if wait_ns
            else {},
        )

    def event(self, begin_s: int, state: EventState) -> Event:
        """Of web, behind crunch; it lasts an hour."""
        return Event(
            utc_ns=(begin_s + 3600 * (state is EventState.CLEARED)) * NS,
            state=state,
            since_utc_ns=begin_s * NS,
            victim=self.web,
            indicator="wait_per_run",
            unit="s/s",
            method="threshold",
            baseline=None,
            limit=0.1,
            value=0.3,
            cause=EventCause.NEIGHBOURS,
            suspects=(Suspect(self.crunch, 80.0),),
            findings=(),
        )

    def facts(self) -> dict[str, str]:
        """As the agent says them."""
        return {"host": pack(Host(self.name, self.kernel, CPUS, "", "v2", "")), "tier": "ebpf"}


def _figures(**known: Any) -> CgroupSignals:  # noqa: ANN401  a limit is a float, all else whole
    """Of a cgroup without a limit, where nothing else is given."""
    return CgroupFigures(
        *({"limit_cpus": float("inf"), **known}.get(name, 0) for name in CgroupFigures._fields)
    )


def write_history(path: Path, host: SimulatedHost, days: int, hours: int) -> None:
    """Its windows of the first hours of so many days."""
    with closing(opened(path)) as db, db:
        insert_facts(db, 1, host.facts().items())
        writer = WindowWriter(db, recording=1)
        for begin_s in _begins(host, days, hours):
            number = writer.insert(host.window(begin_s), (begin_s + WINDOW_S) * NS)
            if host.number == 3 and begin_s in (BEGIN_S, BEGIN_S + 3600):
                state = EventState.RAISED if begin_s == BEGIN_S else EventState.CLEARED
                insert_event(db, number, begin_s * NS, json.dumps(host.event(BEGIN_S, state).to_document()))


def _begins(host: SimulatedHost, days: int, hours: int) -> Iterator[int]:
    for day in range(days):
        first = 1 if host.number == 5 and day == 0 else 0
        for hour in range(first, hours):
            yield from (BEGIN_S + day * 86400 + hour * 3600 + minute * 60 for minute in range(0, 60, 5))


def simulate(dataset: Path, hosts: int, days: int = 1, hours: int = 24, fillers: int = 8) -> int:
    """Ship every host's hours; how many bytes there are then."""
    written = 0
    with tempfile.TemporaryDirectory(prefix="jostle-sim-") as scratch:
        for number in range(hosts):
            host = SimulatedHost(number, fillers)
            path = Path(scratch) / f"{number}.db"
            write_history(path, host, days, hours)
            labels = {"pool": "ab"[number % 2]}
            now_ns = (BEGIN_S + days * 86400 + 7200) * NS
            written += shipping.ship(
                path, Folder(dataset), None, labels, now_ns=now_ns, cpu_model=host.model
            ).bytes
            for left in Path(scratch).iterdir():
                left.unlink()
    return written


_CLONED = {
    **{(table, "host"): "host || '-' || copy AS host" for table in TABLES},
    ("pairs", "wait_ns"): "(wait_ns * (0.5 + random()))::BIGINT AS wait_ns",
}
"""What differs from one copy of a host to the next; what is all the same packs to nothing."""


def clone(dataset: Path, hosts: int, tables: Collection[str] = tuple(TABLES)) -> Path:
    """Compacted days of a larger fleet: every host as often as it takes, under further names; or of the first hosts."""
    target = dataset.with_name(f"{dataset.name}.{hosts}")
    shutil.copytree(dataset / VERSION / "manifest", target / VERSION / "manifest")
    db = duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(target / "tmp")})
    known = len(list((dataset / VERSION / "cursors").iterdir()))
    for table in tables:
        for source in sorted((dataset / VERSION / table).glob("date=*/*.parquet")):
            there = target / source.relative_to(dataset)
            there.parent.mkdir(parents=True, exist_ok=True)
            rows = db.read_parquet(str(source), hive_partitioning=False)
            if hosts < known:
                rows = rows.filter(f"host < 'host-{hosts:05d}'")
            copies = db.from_arrow(pa.table({"copy": list(range(max(1, hosts // known)))}))
            columns = ", ".join(_CLONED.get((table, f.name), f.name) for f in TABLES[table])
            rows.cross(copies).project(columns).write_parquet(str(there), compression="zstd")
    return target


def main() -> None:
    """Simulate, or clone, and say how large it is."""
    parser = argparse.ArgumentParser(description="A simulated fleet with planted truths.")
    parser.add_argument("dataset", type=Path)
    for name, default in (("hosts", 20), ("days", 1), ("hours", 24), ("fillers", 8), ("clone", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    start_s = time.process_time()
    if asked.clone:
        where = clone(asked.dataset, asked.clone)
        size = sum(path.stat().st_size for path in where.rglob("*.parquet"))
    else:
        where, size = (
            asked.dataset,
            simulate(asked.dataset, asked.hosts, asked.days, asked.hours, asked.fillers),
        )
    print(f"{where}: {size / 2**20:.1f} MiB, {time.process_time() - start_s:.1f} s of CPU")


if __name__ == "__main__":
    main()
