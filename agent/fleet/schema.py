"""The tables of a fleet's dataset, version 1, and the page that documents them.

    python -m agent.fleet.schema > docs/fleet-schema.md

Every table carries what a question may select or match hosts by, so that none has to join two of them. Repeated in
each row it takes next to nothing: Parquet keeps a dictionary and the lengths of its runs.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Literal, NamedTuple

from collectors.windows.figures import (
    CGROUP_FIGURES,
    HOST_PRESSURE,
    SCHED_FIGURES,
    FigureSpec,
    Growth,
    Unit,
)
from collectors.windows.histogram import OCTAVES_NS

SCHEMA = "jostle.fleet/1"
VERSION = "v1"
"""The folder of a dataset that holds the tables; another version has another."""
BUCKET_S, HOUR_S, DAY_S = 300, 3600, 86400

Type = Literal["string", "int64", "float64"]


class Field(NamedTuple):
    """A column: its name, type, and what it holds. `unit` and `growth` as of the figures of a window."""

    name: str
    type: Type
    what: str


def _ints(**what: str) -> tuple[Field, ...]:
    return tuple(Field(name, "int64", text) for name, text in what.items())


def _texts(**what: str) -> tuple[Field, ...]:
    return tuple(Field(name, "string", text) for name, text in what.items())


HOST = (
    *_texts(
        host="its name",
        labels="what `jostle ship --label` said of it, as `;pool=a;zone=b;`",
        cpu_model="of its CPUs",
        kernel="its kernel's release",
    ),
    *_ints(cpus="how many it has"),
)
WAITS = tuple(f"waits_{place:02d}" for place in range(len(OCTAVES_NS)))
"""The columns of a histogram; bucket N begins at `OCTAVES_NS[N]` ns, the last is open."""

_WORKLOAD = _texts(
    cgroup="its path, or `kernel`, `other`, `rest`",
    workload="the same name on every host: `NAMESPACE/POD/CONTAINER` without what a controller added to the "
    "pod's name, a container's or unit's name without its instance, else the path",
    owner="the pod's namespace, else the slice below the root that it is in",
    kind="`container`, `pod`, `unit`, `cgroup`, `root`, or empty for what is not a cgroup",
    inside="the path inside the workload; the figures of kernel files include all below, so only rows where this is "
    "empty are summed",
)
_TIME = _ints(
    time_s="begin, seconds since the epoch",
    duration_ns="length of the windows that were added up",
)
_UTILISATION = Field("host_util", "float64", "CPU time used on the host, of all that its CPUs have; 0 to 1")

SCHED = tuple(
    spec.name for spec in SCHED_FIGURES if spec.name not in {"wait_ns", "preempt_wait_ns", "sampled_ns"}
)
"""The scheduler's figures as they are recorded. All that was waited is the sum of what was waited for each cause."""
_LABELS = {spec.name: spec.label for spec in SCHED_FIGURES}
_SCHED = (
    Field("others_ns", "int64", "wait for others"),
    *(Field(name, "int64", _LABELS[name]) for name in SCHED),
)


def shipped_name(figure: str) -> str:
    """Of a kernel file's figure: `some` without what is in `full` as well, which is most of it, packs to little."""
    return figure.replace("_some_ns", "_partly_ns")


def _figure(spec: FigureSpec) -> Field:
    label = spec.label.replace("stalled", "some tasks stalled, others not,", 1)
    partly = shipped_name(spec.name) != spec.name
    return Field(
        shipped_name(spec.name),
        "float64" if spec.unit is Unit.CPUS else "int64",
        label if partly else spec.label,
    )


_FIGURES = tuple(map(_figure, CGROUP_FIGURES))

TABLES: dict[str, tuple[Field, ...]] = {
    "hosts": (
        *HOST,
        *_ints(
            time_s="begin of the hour",
            first_window="number of the first window in the history",
            windows="how many were shipped",
            lost_windows="windows before these that were gone from the history before they could be shipped",
            duration_ns="length of all windows",
        ),
        *_texts(
            jostle="version of jostle that shipped", tier="how the agent measured", shed="what it left out"
        ),
    ),
    "cgroups": (
        *HOST,
        *_TIME,
        _UTILISATION,
        *_WORKLOAD,
        *_SCHED,
        *_ints(
            above_fair_ns="of `run_ns`, what it had beyond its max-min share: had all that wanted to run had equal "
            "weights, others would have run",
        ),
        *(
            Field(name, "int64", f"waits of {edge_ns} ns and more, up to the next bucket")
            for name, edge_ns in zip(WAITS, OCTAVES_NS, strict=True)
        ),
        *_FIGURES,
    ),
    "pairs": (
        *HOST,
        *_ints(time_s="begin of the hour, of the day once it is compacted"),
        *_texts(
            victim="the workload that waited",
            victim_owner="its owner",
            aggressor="the workload that ran meanwhile on the same CPU; `kernel`, `other` or `rest` where it is none",
            aggressor_owner="its owner",
        ),
        *_ints(wait_ns="how long", preemptions="how often the aggressor preempted the victim"),
    ),
    "host_windows": (
        *HOST,
        *_TIME,
        *_ints(
            windows="how many were added up",
            run_ns="CPU time used, over all CPUs",
            wait_ns="time that tasks waited on run queues",
            sampled_ns="of all that cgroups waited for others, what was shared out by sample: the sum is exact",
            switches="context switches",
            steal_ns="taken by the hypervisor",
            irq_ns="in interrupts",
            softirq_ns="in soft interrupts",
        ),
        *(Field(f"host_{name}", "int64", f"{name} of the whole host") for name in HOST_PRESSURE),
        *_ints(untracked="cgroups without a slot, at most", impossible="figures that were refused"),
        *_texts(shed="what the agent left out to keep its budget"),
    ),
    "incidents": (
        *HOST,
        *_ints(
            time_s="when it was told",
            since_s="begin of the first window beyond the limit: with victim, indicator and method the incident's key",
        ),
        *_texts(
            state="`raised` or `cleared`: one row for each",
            victim="the workload",
            victim_owner="its owner",
            cgroup="the victim's cgroup",
            indicator="what left its limit",
            method="which kind of limit",
            cause="what it is put down to",
            suspect="the first suspect's workload, empty where nobody is",
        ),
        Field("value", "float64", "the indicator"),
        Field("bound", "float64", "what it went beyond"),
        Field("suspect_pct", "float64", "the first suspect's share"),
        Field("others_pct", "float64", "of its wait, what was for others"),
    ),
}


def page() -> str:
    """`docs/fleet-schema.md`."""
    return "\n".join(chain([_HEAD], *(_section(name, fields) for name, fields in TABLES.items()))) + "\n"


def _section(name: str, fields: Iterable[Field]) -> Iterable[str]:
    yield f"\n## `{name}`\n\n{_ABOUT[name]}\n\n| column | type | what |\n|---|---|---|"
    own = [field for field in fields if field not in HOST]
    waits = [field for field in own if field.name in WAITS]
    for field in own:
        if field not in waits:
            yield f"| `{field.name}` | {field.type} | {field.what} |"
        elif field is waits[0]:
            yield f"| `{WAITS[0]}` … `{WAITS[-1]}` | int64 | number of waits by length: see below |"
    if waits:
        edges = ", ".join(map(str, OCTAVES_NS))
        yield f"\nBucket N of `waits_N` begins at these ns and ends where the next begins; the last is open: {edges}."


_ABOUT = {
    "hosts": "One row for each file: which host reported which hour, and what it could not.",
    "cgroups": "One cgroup in five minutes, or in an hour in which it ran and waited for less than 1 % of it; "
    "where it did nothing it has no row. Within an hour times are rounded to 7 significant bits (0.8 % at "
    "most) and counts to 5 (3 %). What that takes or gives is in the cgroup's largest row of the column, "
    "so that the sums of an hour are exact, and what is 0 was 0. All that it waited is `others_ns + "
    "self_ns + wakeup_ns + throttled_ns + unattributed_ns`; what a PSI file calls `some` is `partly + "
    "full`. Scheduler figures are the cgroup's own tasks'; those of kernel files (from `limit_cpus` on) "
    "include all below it and are null where the host does not have them.",
    "pairs": "Who waited for whom in an hour. `wait_ns` is rounded to 10 significant bits (0.1 %); the sum of all "
    "that one victim waited is exact. A workload that has several cgroups on a host may wait for itself.",
    "host_windows": "One host in five minutes.",
    "incidents": "What the agent's detection found.",
}
_LEVELS = ", ".join(f"`{spec.name}`" for spec in CGROUP_FIGURES if spec.growth is not Growth.COUNTER)
_HEAD = f"""# The tables of a fleet's dataset

Schema `{SCHEMA}`, made by `python -m agent.fleet.schema`. `jostle ship` writes it (`docs/fleet.md`).

```
DATASET/{VERSION}/TABLE/date=2026-11-29/hour=08/HOST.MACHINE.FIRST-LAST.parquet
DATASET/{VERSION}/TABLE/date=2026-11-29/GENERATION-….parquet           compacted
DATASET/{VERSION}/manifest/date=2026-11-29.GENERATION.json             which hours those stand for
DATASET/{VERSION}/cursors/HOST.MACHINE.json                            how far this host's history is shipped
```

Days and hours are UTC. A file holds the windows FIRST to LAST of one history, all within its hour: usually one file for
each host, hour and table; more where the agent was started again, the clock was set back, or the history began anew.
Its content follows from its name and never changes. A reader takes the files that the newest manifest of a day names,
and those files of its hours that the manifest does not stand for. A table without a row in that hour has no file.

Parquet, zstd; no engine needs an extension. Figures of hours are encoded as BYTE_STREAM_SPLIT, which Spark 4 reads with
`spark.sql.parquet.enableVectorizedReader=false` alone; compacted files have encodings that all readers know.

Figures are sums: they may be added over any rows. Not {_LEVELS}, which are levels. Percentiles are not stored: add the
buckets, then take one. A figure that was not measured is null, never 0.

A later jostle may add columns at the end of a table; version 1 readers leave them out. What changes a meaning makes
version 2, in a folder of its own.

## In every table

| column | type | what |
|---|---|---|
""" + "\n".join(f"| `{field.name}` | {field.type} | {field.what} |" for field in HOST)


if __name__ == "__main__":
    print(page(), end="")
