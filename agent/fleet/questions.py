"""Ten questions to a fleet, one function each: Ibis expressions over tables that no engine holds yet.

Sums of nanoseconds over a fleet are beyond 64 bits in a week, so they are added as seconds or hours in floating point;
a percentile is taken of added buckets. Every expression orders its rows wholly, so that engines agree. `kernel`,
`other` and `rest` are nobody that could be moved, and neither is the root cgroup, which holds all that nobody put
anywhere: they are left out as aggressors, and as victims.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ibis
from ibis import _

from agent.documents.metric import signed
from agent.fleet.schema import BUCKET_S, DAY_S, TABLES, WAITS
from collectors.windows.histogram import OCTAVES_NS
from probes.errors import UsageError

Expr = Any  # Ibis' types are not followed
AnswerRows = Sequence[Mapping[str, Any]]

_NS_PER_H, _NS_PER_S, _NS_PER_MS = 3.6e12, 10**9, 1e6
_NOBODY = ("kernel", "other", "rest", "/")
_HOURS_PER_MONTH = 730
# Of one host against others: at 99.99 % a fleet of 10,000 host-workload pairs shows one by chance.
_Z_ONE_OF_MANY, _Z_95 = 3.89, 1.96
# Fewer hosts elsewhere tell no usual spread.
_LEAST_HOSTS = 5
_LEAST_THROTTLED_PCT = 5.0
# Of a day since which a workload is another; see weeks().
_LEAST_DAYS, _LEAST_SCORE = 10.0, 6.5


@dataclass(frozen=True, slots=True)
class Options:
    """What questions need to be told.

    Attributes:
        objective_ms: The longest p99 wait for a CPU that is taken for good.
        cpu_hour_cost: Of one CPU for an hour, in any currency.
        by: Tells the arms of question 8 apart: a column of hosts, `label:NAME`, or a time (s since the epoch).
    """

    objective_ms: float = 10.0
    cpu_hour_cost: float = 0.04
    by: str | float = "kernel"


class Tables(NamedTuple):
    """The tables, by the names that an engine has views under."""

    hosts: Expr
    cgroups: Expr
    pairs: Expr
    host_windows: Expr
    incidents: Expr


class FleetQuestion(NamedTuple):
    """A question.

    Attributes:
        title: As a person asks it.
        ask: The expression that answers it.
        say: The answer in a sentence, from rows of which there is at least one.
        method: What stands behind the figures.
    """

    title: str
    ask: Callable[[Tables, Options], Expr]
    say: Callable[[AnswerRows, Options], str]
    method: str


def tables() -> Tables:
    """Every table, without rows: what a question is asked of."""
    return Tables(
        **{
            name: ibis.table({field.name: field.type for field in fields}, name=name)
            for name, fields in TABLES.items()
        }
    )


def where(asked: Tables, conditions: Sequence[str], since_s: float | None, until_s: float | None) -> Tables:
    """The rows of these conditions alone: `COLUMN=VALUE` or `label:NAME=VALUE`; `*` at an end stands for anything.

    `workload` and `owner` are those who suffer, in pairs and incidents the victim's. A table that lacks the column
    holds what is true of whole hosts, and is left as it is.

    Raises:
        UsageError: A condition has another form, or names no column of text.
    """
    found = asked._asdict()
    for condition in conditions:
        column, equals, value = condition.partition("=")
        known = {field.name for fields in TABLES.values() for field in fields if field.type == "string"}
        label = column.removeprefix("label:")
        if not equals or (column not in known and label == column) or "*" in value.strip("*"):
            raise UsageError(
                f"{condition!r} is no condition",
                "give COLUMN=VALUE such as owner=shop, host=web-* or label:pool=a",
            )
        for name, table in found.items():
            found[name] = _selected(table, column, value)
    for name, table in found.items():
        if since_s is not None:
            table = table.filter(table.time_s >= int(since_s))  # noqa: PLW2901  the same, narrower
        if until_s is not None:
            table = table.filter(table.time_s < int(until_s))  # noqa: PLW2901
        found[name] = table
    return Tables(**found)


def _selected(table: Expr, column: str, value: str) -> Expr:
    if column.startswith("label:"):
        return table.filter(table.labels.contains(f";{column.removeprefix('label:')}={value};"))
    if column not in table.columns:
        column = {"workload": "victim", "owner": "victim_owner"}.get(column, column)
    if column not in table.columns:
        return table
    text, before, after = value.strip("*"), value.startswith("*"), value.endswith("*")
    cell = table[column]
    if before and after:
        return table.filter(cell.contains(text))
    return table.filter(cell.endswith(text) if before else cell.startswith(text) if after else cell == text)


def _f(column: Expr) -> Expr:
    return column.cast("float64")


def _hours(column_ns: Expr) -> Expr:
    return (_f(column_ns) / _NS_PER_H).sum()


def _workloads(cgroups: Expr) -> Expr:
    """Rows of workloads."""
    return cgroups.filter(~cgroups.kind.isin(("", "root")))


def _ratio_pct(part: Expr, whole: Expr) -> Expr:
    return 100.0 * part / whole.nullif(0.0)


def _bucket_sums(cgroups: Expr) -> dict[str, Expr]:
    sums = {name: _f(cgroups[name]).sum() for name in WAITS}
    return {**sums, "waits": _f(sum((cgroups[name] for name in WAITS[1:]), cgroups[WAITS[0]])).sum()}


def _percentile_ms(summed: Expr, percent: float) -> Expr:
    """Of a table that holds `_bucket_sums`; interpolated within the bucket, whose edges double, so at most half off."""
    cases, below = [], ibis.literal(0.0)
    rank = summed.waits * (percent / 100.0)
    for place, name in enumerate(WAITS):
        low_ms, high_ms = (OCTAVES_NS[min(edge, len(WAITS) - 1)] / _NS_PER_MS for edge in (place, place + 1))
        here = summed[name]
        within_ms = low_ms + (rank - below) / here * (high_ms - low_ms)
        below = below + here
        cases.append(((here > 0.0) & (below >= rank), within_ms))
    return ibis.cases(*cases)


def aggressors(t: Tables, _options: Options) -> Expr:
    """(1) Who costs others most: CPU-hours that others waited for it, and how many they are."""
    p = t.pairs.filter(~t.pairs.aggressor.isin(_NOBODY), t.pairs.victim != t.pairs.aggressor)
    found = p.group_by("aggressor", "aggressor_owner").agg(
        cost_cpu_h=_hours(p.wait_ns),
        preemptions=_f(p.preemptions).sum(),
        victims=p.victim.nunique(),
        hosts=p.host.nunique(),
    )
    return found.mutate(share_pct=_ratio_pct(found.cost_cpu_h, found.cost_cpu_h.sum())).order_by(
        ibis.desc("cost_cpu_h"), "aggressor", "aggressor_owner"
    )


def victims(t: Tables, _options: Options) -> Expr:
    """(2) Who suffers most, what others cost told from what its own limits and threads do."""
    c = _workloads(t.cgroups)
    found = c.group_by("workload", "owner").agg(
        contention_h=_hours(c.others_ns),
        own_limits_h=_hours(c.throttled_ns),
        own_threads_h=_hours(c.self_ns),
        run_h=_hours(c.run_ns),
        hosts=c.host.nunique(),
        **_bucket_sums(c),
    )
    found = found.mutate(
        contention_pct=_ratio_pct(found.contention_h, found.contention_h + found.run_h),
        p99_ms=_percentile_ms(found, 99.0),
        mostly=ibis.cases(
            (
                (found.own_limits_h > found.contention_h) & (found.own_limits_h > found.own_threads_h),
                "own limits",
            ),
            (found.own_threads_h > found.contention_h, "own threads"),
            else_="neighbours",
        ),
    )
    return found.drop(*WAITS, "waits").order_by(ibis.desc("contention_h"), "workload", "owner")


def slower(t: Tables, _options: Options) -> Expr:
    """(3) Where a workload is slowed more than the same workload elsewhere, on the same CPU model at the same load.

    CPI² (Zhang et al., EuroSys 2013) compares cycles per instruction; here it is the wait for others per time on a CPU,
    by tenths of the host's utilisation. The host itself is left out of what it is compared with.
    """
    c = _workloads(t.cgroups)
    c = c.mutate(load=_load(c))
    h = c.group_by("workload", "owner", "cpu_model", "load", "host").agg(
        run_h=_hours(c.run_ns), others_h=_hours(c.others_ns)
    )
    h = h.filter(h.run_h > 0.0)
    h = h.mutate(r=h.others_h / h.run_h)
    alike = ibis.window(group_by=["workload", "owner", "cpu_model", "load"])
    h = h.mutate(
        n=_f(h.r.count().over(alike)) - 1.0,
        s=h.r.sum().over(alike) - h.r,
        q=(h.r * h.r).sum().over(alike) - h.r * h.r,
    )
    h = h.filter(h.n >= float(_LEAST_HOSTS))
    h = h.mutate(mean=h.s / h.n)
    h = h.mutate(variance=((h.q - h.n * h.mean * h.mean) / (h.n - 1.0)).clip(lower=0.0) * (1.0 + 1.0 / h.n))
    found = h.group_by("workload", "owner", "host", "cpu_model").agg(
        run_h=h.run_h.sum(),
        lost_h=(h.run_h * (h.r - h.mean)).sum(),
        usual_h=(h.run_h * h.mean).sum(),
        v=(h.run_h * h.run_h * h.variance).sum(),
        hosts_elsewhere=h.n.max().cast("int64"),
    )
    half = found.v.sqrt() * _Z_ONE_OF_MANY
    found = found.mutate(
        slower_pct=_ratio_pct(found.lost_h, found.run_h + found.usual_h),
        low_pct=_ratio_pct(found.lost_h - half, found.run_h + found.usual_h),
        high_pct=_ratio_pct(found.lost_h + half, found.run_h + found.usual_h),
    )
    return (
        found.filter(found.low_pct > 0.0)
        .select(
            *(
                "workload",
                "owner",
                "host",
                "cpu_model",
                "slower_pct",
                "low_pct",
                "high_pct",
                "lost_h",
                "run_h",
            ),
            "hosts_elsewhere",
        )
        .order_by(ibis.desc("lost_h"), "workload", "host", "owner")
    )


def knee(t: Tables, options: Options) -> Expr:
    """(4) How tightly can we pack: waits by the host's utilisation, and from where on the objective is missed.

    Cgroups that a quota held back in these five minutes are left out: their waits are not the host's.
    """
    c = _workloads(t.cgroups)
    c = c.filter(c.throttled_ns == 0)
    c = c.mutate(util_pct=_f((c.host_util * 20.0).floor().cast("int64").clip(upper=19) * 5))
    found = c.group_by("cpu_model", "util_pct").agg(
        contention_h=_hours(c.others_ns), run_h=_hours(c.run_ns), hosts=c.host.nunique(), **_bucket_sums(c)
    )
    found = found.mutate(
        p99_ms=_percentile_ms(found, 99.0),
        contention_pct=_ratio_pct(found.contention_h, found.contention_h + found.run_h),
    )
    model = ibis.window(group_by="cpu_model")
    met = (found.p99_ms <= options.objective_ms).fill_null(True)  # noqa: FBT003  nobody waited
    found = found.mutate(
        missed=met.ifelse("", "missed"), met_pct=met.ifelse(found.util_pct, -5.0).max().over(model) + 5.0
    )
    found = found.mutate(knee_pct=found.met_pct.nullif(found.util_pct.max().over(model) + 5.0))
    return found.select(
        "cpu_model", "util_pct", "p99_ms", "contention_pct", "missed", "knee_pct", "hosts", "run_h"
    ).order_by("cpu_model", "util_pct")


def moves(t: Tables, options: Options) -> Expr:
    """(5) What would be given back, at most, if the worst pairs did not meet: in CPUs, and money a month."""
    p = t.pairs.filter(~t.pairs.aggressor.isin(_NOBODY), ~t.pairs.victim.isin(_NOBODY))
    p = p.filter(p.victim != p.aggressor)
    worst = p.group_by("victim", "victim_owner", "aggressor", "aggressor_owner").agg(
        wait_h=_hours(p.wait_ns), hosts=p.host.nunique()
    )
    c = _workloads(t.cgroups)
    above = c.group_by(aggressor=c.workload, aggressor_owner=c.owner).agg(above_h=_hours(c.above_fair_ns))
    found = worst.left_join(above, ["aggressor", "aggressor_owner"]).select(*worst.columns, "above_h")
    w = t.host_windows
    span = w.agg(span_h=_f(w.time_s.max() - w.time_s.min() + BUCKET_S) / 3600.0)
    found = found.cross_join(span)
    found = found.mutate(cpus=found.wait_h / found.span_h)
    found = found.mutate(
        money_a_month=found.cpus * (_HOURS_PER_MONTH * options.cpu_hour_cost),
        remedy=ibis.cases(
            (found.hosts <= 2, "move"),
            (found.above_h.fill_null(0.0) > 0.1 * found.wait_h, "cap"),
            else_="pin",
        ),
    )
    return found.select(
        *(
            "victim",
            "victim_owner",
            "aggressor",
            "aggressor_owner",
            "remedy",
            "cpus",
            "money_a_month",
            "wait_h",
            "hosts",
        )
    ).order_by(ibis.desc("wait_h"), "victim", "aggressor", "victim_owner", "aggressor_owner")


def above(t: Tables, _options: Options) -> Expr:
    """(6) Who has more than its share while others wait, by owner."""
    c = _workloads(t.cgroups)
    found = c.group_by("owner").agg(
        above_h=_hours(c.above_fair_ns),
        run_h=_hours(c.run_ns),
        workloads=c.workload.nunique(),
        hosts=c.host.nunique(),
    )
    return (
        found.mutate(above_pct=_ratio_pct(found.above_h, found.run_h))
        .filter(_.above_h > 0.0)
        .order_by(ibis.desc("above_h"), "owner")
    )


def limits(t: Tables, _options: Options) -> Expr:
    """(7) Whose CPU limit is too small: throttled in many of its periods, and what it would have used."""
    c = _workloads(t.cgroups)
    c = c.filter(c.limit_cpus < 1e6)
    c = c.mutate(wanted=(_f(c.run_ns) + _f(c.throttled_ns)) / _f(c.duration_ns).nullif(0.0))
    found = c.group_by("owner", "workload").agg(
        throttled_h=_hours(c.throttled_ns),
        periods=_f(c.nr_periods).sum(),
        throttled=_f(c.nr_throttled).sum(),
        limit_cpus=c.limit_cpus.max(),
        mean_wanted_cpus=(_f(c.run_ns) + _f(c.throttled_ns)).sum() / _f(c.duration_ns).sum().nullif(0.0),
        most_wanted_cpus=c.wanted.max(),
        hosts=c.host.nunique(),
    )
    found = found.mutate(throttled_pct=_ratio_pct(found.throttled, found.periods))
    return (
        found.filter(found.throttled_pct >= _LEAST_THROTTLED_PCT)
        .select(
            *(
                "owner",
                "workload",
                "throttled_pct",
                "throttled_h",
                "limit_cpus",
                "mean_wanted_cpus",
                "most_wanted_cpus",
            ),
            "hosts",
        )
        .order_by(ibis.desc("throttled_h"), "owner", "workload")
    )


def change(t: Tables, options: Options) -> Expr:
    """(8) Before against after: what hosts wait for others, each of which counts once.

    Each host has an index: 100 where it waits as much as the fleet's hosts of its CPU model do at its load. By a time,
    each host is compared with itself; by what hosts differ in, each group with all other hosts (Welch). The interval is
    of 95 %, by the normal distribution, which for fewer than 20 hosts is too narrow.
    """
    c = _workloads(t.cgroups).mutate(load=_load(t.cgroups))
    alike = ["load"] if options.by == "cpu_model" else ["load", "cpu_model"]
    if isinstance(options.by, (int, float)):
        h = _indices(c, alike, ["host"], c.time_s >= int(options.by))
        h = h.mutate(d=h.index - h.index_before).filter(_.d.notnull())
        g = h.agg(
            n=_f(h.d.count()),
            s=h.d.sum(),
            q=(h.d * h.d).sum(),
            index=h.index.mean(),
            other=h.index_before.mean(),
        )
        g = g.filter(g.n >= 2.0).mutate(arm=ibis.literal("after"), rn=g.n)
        return _changes(g, _variance(g.n, g.s, g.q) / g.n)
    h = _indices(c.mutate(arm=_arm(c, options.by)), alike, ["arm", "host"]).filter(_.index.notnull())
    g = h.group_by("arm").agg(n=_f(h.index.count()), s=h.index.sum(), q=(h.index * h.index).sum())
    g = g.mutate(rn=g.n.sum() - g.n, rs=g.s.sum() - g.s, rq=g.q.sum() - g.q)
    g = g.filter((g.n >= 2.0) & (g.rn >= 2.0)).mutate(index=_.s / _.n, other=_.rs / _.rn)
    return _changes(g, _variance(g.n, g.s, g.q) / g.n + _variance(g.rn, g.rs, g.rq) / g.rn)


def _indices(c: Expr, alike: list[str], of: list[str], after: Expr | None = None) -> Expr:
    """What each waited for others, in per cent of what hosts that are alike did for as much time on a CPU."""
    c = c.mutate(part=ibis.literal(1) if after is None else after.ifelse(1, 0))
    h = c.group_by(*of, *(name for name in ("load", "cpu_model") if name not in of), "part").agg(
        o=_hours(c.others_ns), r=_hours(c.run_ns)
    )
    fleet = ibis.window(group_by=alike)
    h = h.mutate(usual=h.r * h.o.sum().over(fleet) / h.r.sum().over(fleet).nullif(0.0))
    sums = {
        name: _ratio_pct((h.part == part).ifelse(h.o, 0.0).sum(), (h.part == part).ifelse(h.usual, 0.0).sum())
        for name, part in (("index", 1), ("index_before", 0))
    }
    return h.group_by(*of).agg(**sums)


def _load(cgroups: Expr) -> Expr:
    return (cgroups.host_util * 10.0).floor().cast("int64")


def _changes(g: Expr, variance: Expr) -> Expr:
    half = _Z_95 * variance.sqrt()
    g = g.mutate(change=g.index - g.other, half=half, hosts=g.n.cast("int64"), other_hosts=g.rn.cast("int64"))
    g = g.mutate(low=g.change - g.half, high=g.change + g.half)
    return g.select("arm", "index", "other", "change", "low", "high", "hosts", "other_hosts").order_by(
        ibis.desc("change"), "arm"
    )


def _variance(n: Expr, s: Expr, q: Expr) -> Expr:
    return ((q - s * s / n) / (n - 1.0)).clip(lower=0.0)


def _arm(c: Expr, by: str) -> Expr:
    if by.startswith("label:"):
        return c.labels.re_extract(f";{by.removeprefix('label:')}=([^;]*);", 1)
    if by not in ("kernel", "cpu_model", "host", "owner", "cpus"):
        raise UsageError(f"{by!r} tells no hosts apart", "give --by kernel, cpu_model, label:NAME or a time")
    return c[by].cast("string")


def weeks(t: Tables, _options: Options) -> Expr:
    """(9) Week over week, and the day since which a workload's contention ratio is another.

    The day is the one that splits its days into two parts whose means differ most, for the spread within them. It is
    told where that is beyond what one workload in a hundred has by chance, of days as like their neighbours as noise
    with a correlation of a half: of a fortnight 6.2, of four weeks 5.7, of 60 days 5.4. Of days that have nothing to do
    with each other, that is beyond one in a thousand: 5.1, 4.4, 4.1.
    """
    c = _workloads(t.cgroups)
    c = c.mutate(day=_f(c.time_s // DAY_S))
    d = c.group_by("workload", "owner", "day").agg(o=_hours(c.others_ns), r=_hours(c.run_ns))
    d = d.mutate(x=_ratio_pct(d.o, d.o + d.r)).filter(_.x.notnull())
    one = ["workload", "owner"]
    before = ibis.window(group_by=one, order_by="day", preceding=(None, 1))
    whole = ibis.window(group_by=one)
    d = d.mutate(
        n0=_f(d.x.count().over(before)),
        s0=d.x.sum().over(before),
        q0=(d.x * d.x).sum().over(before),
        n=_f(d.x.count().over(whole)),
        s=d.x.sum().over(whole),
        q=(d.x * d.x).sum().over(whole),
        last=d.day.max().over(whole),
    )
    d = d.mutate(n1=d.n - d.n0, s1=d.s - d.s0, q1=d.q - d.q0)
    within = ((d.q0 - d.s0 * d.s0 / d.n0) + (d.q1 - d.s1 * d.s1 / d.n1)).clip(lower=0.0) / (d.n - 2.0).nullif(
        0.0
    )
    spread = (within * (1.0 / d.n0 + 1.0 / d.n1)).sqrt()
    gap = (d.s1 / d.n1 - d.s0 / d.n0).abs()
    # At least a tenth of a point of spread: days that are all alike differ by rounding.
    is_split = (d.n0 >= 2.0) & (d.n1 >= 2.0) & (d.n >= _LEAST_DAYS)
    d = d.mutate(score=is_split.ifelse(gap / (spread + 0.1), 0.0))
    d = d.mutate(best=d.score.max().over(whole))
    is_best = (d.score == d.best) & (d.score >= _LEAST_SCORE)
    recent = d.day > d.last - 7.0
    earlier = ~recent & (d.day > d.last - 14.0)
    w = d.group_by(*one).agg(
        this_o=recent.ifelse(d.o, 0.0).sum(),
        this_r=recent.ifelse(d.r, 0.0).sum(),
        last_o=earlier.ifelse(d.o, 0.0).sum(),
        last_r=earlier.ifelse(d.r, 0.0).sum(),
        changed_day=is_best.ifelse(d.day, None).min(),
        before_pct=is_best.ifelse(d.s0 / d.n0, None).max(),
        after_pct=is_best.ifelse(d.s1 / d.n1, None).max(),
        score=d.best.max(),
        days=d.n.max().cast("int64"),
    )
    w = w.mutate(
        this_week_pct=_ratio_pct(w.this_o, w.this_o + w.this_r),
        last_week_pct=_ratio_pct(w.last_o, w.last_o + w.last_r),
        changed_s=(w.changed_day * float(DAY_S)).cast("int64"),
    )
    return w.select(
        *(
            "workload",
            "owner",
            "this_week_pct",
            "last_week_pct",
            "changed_s",
            "before_pct",
            "after_pct",
            "score",
            "days",
        )
    ).order_by(ibis.desc("score"), "workload", "owner")


def incidents(t: Tables, _options: Options) -> Expr:
    """(10) What the agents raised, how long it lasted, and what the victims waited for others meanwhile."""
    i = t.incidents
    key = ("host", "victim", "victim_owner", "cgroup", "indicator", "method", "since_s")
    one = i.group_by(*key).agg(until_s=i.time_s.max(), cause=i.cause.max(), suspect=i.suspect.max())
    c = t.cgroups.mutate(end_s=t.cgroups.time_s + t.cgroups.duration_ns // _NS_PER_S)
    c = c.select("host", "cgroup", "time_s", "end_s", "others_ns")
    met = one.join(c, ["host", "cgroup"]).filter((_.end_s > _.since_s) & (_.time_s < _.until_s))
    cost = met.group_by(*key).agg(cost_h=_hours(met.others_ns))
    one = one.left_join(cost, list(key)).select(*one.columns, "cost_h")
    found = one.group_by("victim", "victim_owner", "cause", "suspect").agg(
        incidents=one.count(),
        hosts=one.host.nunique(),
        hours=(_f(one.until_s - one.since_s) / 3600.0).sum(),
        cost_cpu_h=one.cost_h.fill_null(0.0).sum(),
    )
    return found.order_by(
        ibis.desc("cost_cpu_h"), ibis.desc("hours"), "victim", "cause", "suspect", "victim_owner"
    )


def coverage(t: Tables, _options: Options) -> Expr:
    """Which hosts reported, for how much of the time, and what was lost or left out; the worst first."""
    h = t.hosts
    found = h.group_by("host").agg(
        hours=_hours(h.duration_ns),
        lost_windows=h.lost_windows.sum().cast("int64"),
        first_s=h.time_s.min(),
        last_s=h.time_s.max(),
        cpu_model=h.cpu_model.max(),
        kernel=h.kernel.max(),
        cpus=h.cpus.max(),
        shed=h.shed.max(),
    )
    span = h.agg(span_h=_f(h.time_s.max() - h.time_s.min() + 3600) / 3600.0)
    found = found.cross_join(span)
    found = found.mutate(reported_pct=_ratio_pct(found.hours, found.span_h))
    return found.select(
        *(
            "host",
            "reported_pct",
            "hours",
            "lost_windows",
            "first_s",
            "last_s",
            "cpu_model",
            "cpus",
            "kernel",
            "shed",
        )
    ).order_by("reported_pct", "host")


QUESTIONS: dict[str, FleetQuestion] = {
    "aggressors": FleetQuestion(
        "Who costs others most?",
        aggressors,
        lambda rows, _o: (
            f"{rows[0]['aggressor']} costs others most: they waited {rows[0]['cost_cpu_h']:,.1f} CPU-hours for it, "
            f"{rows[0]['share_pct']:.0f} % of all that anyone waited for a neighbour, on {rows[0]['hosts']} hosts."
        ),
        "Time that tasks of other workloads were runnable while it ran on their CPU: by overlap, not by correlation.",
    ),
    "victims": FleetQuestion(
        "Who suffers most?",
        victims,
        lambda rows, _o: (
            f"{rows[0]['workload']} suffers most: {rows[0]['contention_h']:,.1f} CPU-hours behind others, "
            f"{rows[0]['contention_pct']:.1f} % of what it ran and waited; mostly {rows[0]['mostly']}."
        ),
        "Waits by cause, as the scheduler's own clock has them. The percentile is taken of the added buckets.",
    ),
    "slower": FleetQuestion(
        "Where does a workload run slower than elsewhere?",
        slower,
        lambda rows, _o: (
            f"On {rows[0]['host']} {rows[0]['workload']} is {rows[0]['slower_pct']:.1f} % slower than on "
            f"{rows[0]['hosts_elsewhere']} other hosts of its CPU model at the same load "
            f"({rows[0]['low_pct']:.1f} to {rows[0]['high_pct']:.1f} %)."
        ),
        "Wait for others per time on a CPU, by CPU model and tenths of utilisation; 99.99 % intervals of one host.",
    ),
    "knee": FleetQuestion(
        "How tightly can we pack?",
        knee,
        lambda rows, o: (
            "; ".join(
                f"{model}: the p99 wait passes {o.objective_ms:g} ms from {knee_pct:.0f} % utilisation on"
                if knee_pct is not None
                else f"{model}: the p99 wait stays within {o.objective_ms:g} ms at every utilisation seen"
                for model, knee_pct in dict.fromkeys((row["cpu_model"], row["knee_pct"]) for row in rows)
            )
            + "."
        ),
        "Five-minute windows by twentieths of the host's utilisation; cgroups that a quota held back are left out.",
    ),
    "moves": FleetQuestion(
        "What would moving, capping or pinning give back?",
        moves,
        lambda rows, _o: (
            f"To keep {rows[0]['aggressor']} from {rows[0]['victim']} ({rows[0]['remedy']}) gives back at most "
            f"{rows[0]['cpus']:.1f} CPUs, {rows[0]['money_a_month']:,.0f} a month."
        ),
        "An upper bound: all that the one waited for the other. Move: they meet on one host or two; cap: the aggressor "
        "has more than its share; else pin them apart.",
    ),
    "above": FleetQuestion(
        "Who is above its entitlement?",
        above,
        lambda rows, _o: (
            f"{rows[0]['owner']} had {rows[0]['above_h']:,.1f} CPU-hours more than its share while others waited, "
            f"{rows[0]['above_pct']:.1f} % of what it ran."
        ),
        "Max-min share of a host's CPUs in five minutes, as if all cgroups that wanted to run had equal weights.",
    ),
    "limits": FleetQuestion(
        "Whose limits are too small?",
        limits,
        lambda rows, _o: (
            f"{rows[0]['workload']} of {rows[0]['owner']} is throttled in {rows[0]['throttled_pct']:.0f} % of its "
            f"periods: it has {rows[0]['limit_cpus']:.1f} CPUs and wanted up to {rows[0]['most_wanted_cpus']:.1f}."
        ),
        "The kernel's count of throttled periods; wanted is what it ran and waited for its quota, in five minutes.",
    ),
    "change": FleetQuestion(
        "What did a change do?",
        change,
        lambda rows, _o: (
            f"With {rows[0]['arm']} tasks wait for others {rows[0]['index']:.0f} % of what is usual at the same load, "
            f"else {rows[0]['other']:.0f} %: {signed(rows[0]['change'])} points ({signed(rows[0]['low'])} to "
            f"{signed(rows[0]['high'])}), by {rows[0]['hosts']} hosts against {rows[0]['other_hosts']}."
        ),
        "Hosts are the unit, each counts once. By a time each is compared with itself, else by Welch's interval.",
    ),
    "weeks": FleetQuestion(
        "What changed from week to week?",
        weeks,
        lambda rows, _o: (
            f"{rows[0]['workload']} changed most: from {rows[0]['before_pct']:.1f} to {rows[0]['after_pct']:.1f} % of "
            "contention."
            if rows[0]["changed_s"] is not None
            else f"No workload changed, of {rows[0]['days']} days."
            if rows[0]["days"] >= _LEAST_DAYS
            else f"There are too few days to tell a change: {rows[0]['days']} of {_LEAST_DAYS:.0f}."
        ),
        "Of each workload's days, the split whose two means differ most for the spread within them (the score); a day "
        f"is told from {_LEAST_SCORE:g} on, of {_LEAST_DAYS:.0f} days and more.",
    ),
    "incidents": FleetQuestion(
        "What did the agents raise?",
        incidents,
        lambda rows, _o: (
            f"Incidents: {sum(row['incidents'] for row in rows)}; the most costly befell {rows[0]['victim']} "
            f"({rows[0]['cause']}{', ' + rows[0]['suspect'] if rows[0]['suspect'] else ''}): "
            f"{rows[0]['cost_cpu_h']:,.1f} CPU-hours."
        ),
        "Events of the agents' detection; the cost is what the victim waited for others meanwhile.",
    ),
    "coverage": FleetQuestion(
        "Which hosts reported?",
        coverage,
        lambda rows, _o: (
            f"{len(rows)} hosts reported; the least complete is {rows[0]['host']} with {rows[0]['reported_pct']:.1f} % "
            f"of the time, and {sum(row['lost_windows'] for row in rows)} windows were lost."
        ),
        "One row for each shipped hour; what was gone from a history before it was shipped is counted.",
    ),
}
