"""Windows of a history as rows of the fleet's tables."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agent.documents.event import Event
from agent.fleet.schema import SCHED, TABLES, WAITS, Type, shipped_name
from agent.fleet.sums import IS_COUNTED, NS, RUN, WAIT, Bucket, Floats, HourSums, Ints, Row, rounded
from collectors.host.workloads import Workload, identify
from collectors.windows.figures import CGROUP_FIGURES, SCHED_FIGURES
from collectors.windows.sched import LEAST_ACTIVE

Columns = Mapping[str, Any]
"""Of a table, by name, each as long as the others: a list, or an array, whose masked cells are null."""

TIME_BITS, COUNT_BITS, PAIR_BITS = 7, 5, 10
"""Significant bits of times and counts within an hour, and of a pair: see `sums.rounded`. With all bits a host-hour has
1.6 times the bytes."""
_INSTANCE = re.compile(r"@.*(?=\.\w+$)")
_TRANSIENT = re.compile(r"^(run|session)-[-\w]*(?=\.(?:scope|service)$)")


class About(NamedTuple):
    """What every row of a host begins with: see `schema.HOST`."""

    host: str
    labels: str
    cpu_model: str
    kernel: str
    cpus: int


class Identity(NamedTuple):
    """Who a cgroup is, on every host by the same name."""

    workload: str
    owner: str
    kind: str
    inner: str


def columns_of(table: str, rows: Sequence[Row]) -> Columns:
    """The columns of a table from its rows."""
    fields = TABLES[table]
    found = zip(*rows, strict=True) if rows else ((),) * len(fields)
    return {field.name: list(values) for field, values in zip(fields, found, strict=True)}


def length(columns: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(columns.values())))


def buffers(kind: Type, column: Any) -> tuple[Any, ...]:  # noqa: ANN401  see Columns
    """A column as Arrow lays it out: which cells are valid (None: all), of texts the offsets, and the content.

    By hand, as `pyarrow.array` imports pandas where that is installed: 50 MB and 0.2 s.
    """
    if kind == "string":
        texts = [text.encode() for text in column]
        return None, np.cumsum([0, *map(len, texts)], dtype=np.int32), b"".join(texts)
    if isinstance(column, list):
        column = np.ma.array([cell or 0 for cell in column], mask=[cell is None for cell in column])
    valid = ~np.ma.getmaskarray(column)
    content = np.ascontiguousarray(np.ma.filled(column, 0), np.int64 if kind == "int64" else np.float64)
    return None if valid.all() else np.packbits(valid, bitorder="little"), content


def host_windows(about: About, hour: HourSums) -> Columns:
    """A row for each five minutes of a host."""
    return columns_of("host_windows", [(*about, *bucket.host_row()) for bucket in hour.buckets])


def pairs(about: About, hour: HourSums) -> Columns:
    """A row for each two workloads of which one waited for the other in the hour."""
    known = [identity(path, hour.names.get(path)) for path in hour.paths]
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for one, other, (wait_ns, preemptions) in zip(*(part.tolist() for part in hour.pairs()), strict=True):
        victim, aggressor = known[one], known[other]
        sums = found.setdefault((victim.workload, victim.owner, aggressor.workload, aggressor.owner), [0, 0])
        sums[0] += wait_ns
        sums[1] += preemptions
    keys = sorted(found)
    waits = np.array([[found[key][0]] for key in keys], np.int64).reshape(-1, 1)
    starts = [place for place, key in enumerate(keys) if not place or key[:2] != keys[place - 1][:2]]
    waits_ns = rounded(waits, np.array(starts, np.int64), PAIR_BITS)[:, 0].tolist()
    rows = [
        (*about, hour.time_s, *key, wait_ns, found[key][1])
        for key, wait_ns in zip(keys, waits_ns, strict=True)
    ]
    return columns_of("pairs", rows)


def cgroups(about: About, hour: HourSums) -> Columns:
    """A row for each cgroup in five minutes; one for the hour of a cgroup that is as good as idle."""
    parts = [_Rows.of(bucket) for bucket in hour.buckets]
    rows = _Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    active_ns = np.zeros(len(hour.paths), np.int64)
    np.add.at(active_ns, rows.ids, rows.counters[:, RUN] + rows.counters[:, WAIT])
    idle = (active_ns < LEAST_ACTIVE * hour.duration_ns)[rows.ids]
    rows = _Rows(
        *(
            np.concatenate(pair)
            for pair in zip(rows.where(~idle), rows.where(idle).merged(hour.time_s), strict=True)
        )
    )
    paths = np.array([_plain(path) for path in hour.paths], object)
    rows = rows.where(np.lexsort((rows.time_s, rows.ids, np.unique(paths, return_inverse=True)[1][rows.ids])))
    who = [identity(path, hour.names.get(path)) for path in hour.paths]
    found: dict[str, Any] = {name: [value] * len(rows.ids) for name, value in about._asdict().items()}
    found |= {"time_s": rows.time_s, "duration_ns": rows.duration_ns, "host_util": rows.util}
    found["cgroup"] = paths[rows.ids].tolist()
    for name, texts in zip(("workload", "owner", "kind", "inside"), zip(*who, strict=True), strict=True):
        found[name] = [texts[place] for place in rows.ids.tolist()]
    figures = _figures(rows)
    starts = np.flatnonzero(np.diff(rows.ids, prepend=-1))
    times = [name for name in figures if name.endswith("_ns")]
    for bits, names in ((TIME_BITS, times), (COUNT_BITS, [*figures.keys() - times])):
        whole = np.stack([figures[name] for name in names], axis=1)
        figures |= dict(zip(names, rounded(whole, starts, bits).T, strict=True))
    for place, spec in enumerate(CGROUP_FIGURES):
        name, missing = shipped_name(spec.name), ~rows.known[:, place]
        figures[name] = np.ma.array(figures.get(name, rows.figures[:, place]), mask=missing)
    return found | figures


def _figures(rows: "_Rows") -> dict[str, Any]:
    """The figures that are counted, by the columns' names; 0 where there is none."""
    counters = dict(zip((spec.name for spec in SCHED_FIGURES), rows.counters.T, strict=True))
    causes = ("self_ns", "wakeup_ns", "throttled_ns", "unattributed_ns")
    others_ns = counters["wait_ns"] - sum(counters[name] for name in causes)
    found = {"others_ns": np.maximum(0, others_ns), **{name: counters[name] for name in SCHED}}
    found["above_fair_ns"] = rows.above_fair_ns
    found |= dict(zip(WAITS, rows.waits.T, strict=True))
    told = {spec.name: rows.figures[:, place] for place, spec in enumerate(CGROUP_FIGURES)}
    for name, column in told.items():
        full = told[name.replace("_some_ns", "_full_ns")] if name.endswith("_some_ns") else 0.0
        if name != "limit_cpus":
            found[shipped_name(name)] = np.maximum(0, column - full).astype(np.int64)
    return found


class _Rows(NamedTuple):
    """Rows of `cgroups`, as arrays of one length."""

    ids: Ints
    time_s: Ints
    duration_ns: Ints
    util: Floats
    counters: Ints
    above_fair_ns: Ints
    waits: Ints
    figures: Floats
    known: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, bucket: Bucket) -> "_Rows":
        """Of the cgroups that did anything in these five minutes."""
        sums = bucket.rows
        ids = np.flatnonzero(sums.seen)
        count, run_ns = len(ids), sums.counters[ids, RUN]
        wanted_ns = dict(zip(map(str, ids), (run_ns + sums.others_ns[ids]).tolist(), strict=True))
        fair_ns = fair_shares(wanted_ns, bucket.room_ns)
        return cls(
            ids=ids,
            time_s=np.full(count, bucket.begin_s),
            duration_ns=np.full(count, bucket.duration_ns),
            util=np.full(count, bucket.util),
            counters=sums.counters[ids],
            above_fair_ns=np.maximum(0, run_ns - np.array([fair_ns[name] for name in wanted_ns], np.int64)),
            waits=sums.waits[ids],
            figures=sums.figures[ids],
            known=sums.known[ids],
        )

    def where(self, chosen: Any) -> "_Rows":  # noqa: ANN401  what an array is indexed by
        """Some of them."""
        return _Rows(*(column[chosen] for column in self))

    def merged(self, time_s: int) -> "_Rows":
        """One row for each cgroup, with the sums of all of its rows, and the host's mean utilisation in them."""
        ids, places = np.unique(self.ids, return_inverse=True)

        def added(column: Any) -> Any:  # noqa: ANN401  an array of any kind
            sums = np.zeros((len(ids), *column.shape[1:]), column.dtype)
            np.add.at(sums, places, column)
            return sums

        figures = added(np.where(IS_COUNTED, self.figures, 0.0))
        for column in np.flatnonzero(~IS_COUNTED):
            told = self.known[:, column]
            figures[places[told], column] = self.figures[told, column]
        duration_ns = added(self.duration_ns)
        return _Rows(
            ids=ids,
            time_s=np.full(len(ids), time_s),
            duration_ns=duration_ns,
            util=added(self.util * self.duration_ns) / np.maximum(1, duration_ns),
            counters=added(self.counters),
            above_fair_ns=added(self.above_fair_ns),
            waits=added(self.waits),
            figures=figures,
            known=added(self.known.astype(np.int64)) > 0,
        )


def fair_shares(wanted_ns: Mapping[str, int], room_ns: int) -> dict[str, int]:
    """Max-min: nobody has more than it wanted, and what one leaves the others share equally."""
    left, shares = room_ns, {}
    for place, (name, wanted) in enumerate(sorted(wanted_ns.items(), key=lambda item: item[1])):
        shares[name] = min(wanted, left // (len(wanted_ns) - place))
        left -= shares[name]
    return shares


def event_row(about: About, event: Event, names: Mapping[str, Workload]) -> Row:
    """One incident's begin or end."""
    victim = identity(event.victim, names.get(event.victim))
    first = event.suspects[0] if event.suspects else None
    return (
        *about,
        *(event.utc_ns // NS, event.since_utc_ns // NS, event.state.value, victim.workload, victim.owner),
        *(_plain(event.victim), event.indicator, event.method, event.cause.value),
        identity(first.cgroup, names.get(first.cgroup)).workload if first else "",
        *(event.value, event.limit, first.share_pct if first else None, event.others_pct),
    )


@cache
def identity(path: str, named: Workload | None = None) -> Identity:
    """Who a cgroup is, by its path and the names that were recorded with it."""
    if not path.startswith("/"):
        return Identity(path, "", "", "")
    workload = named or identify(path)
    return Identity(_plain(_name(workload)), _plain(_owner(workload)), workload.kind, _plain(workload.inner))


def _name(workload: Workload) -> str:
    if workload.namespace and workload.pod_name:
        return "/".join(filter(None, (workload.namespace, workload.owner, workload.container_name)))
    name = workload.name.removesuffix(f"/{workload.inner}") if workload.inner else workload.name
    if workload.kind == "unit":
        return _TRANSIENT.sub(r"\1", _INSTANCE.sub("@", name))
    return workload.owner or name


def _owner(workload: Workload) -> str:
    return workload.namespace or next((part for part in workload.path.split("/") if part), "/")


def _plain(name: str) -> str:
    """A tenant's name as UTF-8: Parquet holds nothing else."""
    return name.encode("utf-8", "replace").decode()
