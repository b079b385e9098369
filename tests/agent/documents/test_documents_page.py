"""docs/documents.md has every key of every document, from the records of `agent.documents` themselves.

`JOSTLE_UPDATE_GOLDEN=1 pytest tests/agent/documents/test_documents_page.py` writes the page again.
"""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

import agent.documents
from agent.documents.capabilities import Examination
from agent.documents.codec import Document, Record
from agent.documents.selftest import Label
from agent.documents.selftest_detection import EpisodeLabel
from agent.documents.tasks import TasksWithin, TaskTime
from agent.store import windows
from agent.store.run_file import Notes
from collectors.windows import figures
from collectors.windows.sched import SchedWindow
from reports.json_document import DOCTOR_SCHEMA, EPISODES_SCHEMA, LABELS_SCHEMA
from tests.cli.running import ROOT

PAGE = ROOT / "docs/documents.md"
UPDATE = os.environ.get("JOSTLE_UPDATE_GOLDEN") == "1"

MODULES = [
    importlib.import_module(each.name)
    for each in pkgutil.iter_modules(agent.documents.__path__, "agent.documents.")
]

WRITTEN_BY = {
    "jostle.verdict/1": "`jostle experiment --json`, `jostle compare --json`; an experiment's `verdict.json`",
    "jostle.summary/1": "`jostle record --json`, `jostle report RUN -f json`, `jostle report --history … -f json`",
    "jostle.plan/1": "`jostle experiment --plan --json`; an experiment's `plan.json`, before its first trial",
    "jostle.top/1": "`jostle top --json`",
    "jostle.blame/1": "`jostle blame CGROUP --json`",
    "jostle.now/1": "`jostle --json`, `jostle now --json`",
    "jostle.events/1": "`jostle events --json`",
    "jostle.event/1": "`jostle agent`: one line on standard output, which is the journal, and one row of the history",
    "jostle.selftest/1": "`jostle selftest --json`, and its directory's `selftest.json`",
    "jostle.selftest-detection/1": "`jostle selftest --detection --json`, and the file that `-o` names",
    "jostle.shipped/1": "`jostle ship --json`",
    "jostle.fleet-answer/1": "`jostle fleet QUESTION --json`; `jostle fleet review -f json`",
    DOCTOR_SCHEMA: "`jostle doctor --json`",
    LABELS_SCHEMA: "`jostle selftest --list --json`: a list `scenarios`",
    EPISODES_SCHEMA: "`jostle selftest --detection --list --json`: a list `episodes`",
}

MEANINGS = {
    "RunSummary.until": "end of the last window, as its begin",
    "title": "the user's own, as given",
    "note": "the user's own, a paragraph a line",
    "Absence.figures": "how many are null",
    "Absence.remedy": "what would fix it",
    "Usual.median_cpus": "of the CPUs lost, half of the windows lost less",
    "Usual.p95_cpus": "of the CPUs lost, 95 % of the windows lost less",
    "Usual.windows": "how many these are",
    "Capability.name": "what might be measured",
    "Capability.state": "whether it can be",
    "LiveTable.cgroups": "a row for each cgroup",
    "RunMatrix.wait_ns": "a row for each that waited",
    "RunSummary.cgroups": "each cgroup over the whole recording",
    "SchedWindow.reclaims": "memory reclaimed, by the limit's cgroup and by whose tasks needed more",
    "BlameSummary.memory": "whose need had memory reclaimed",
    "MemoryPart.reclaimed_bytes": "in its name",
    "MemoryPart.share_pct": "of what was reclaimed within limits that it shares",
    "SchedWindow.network": "packets of each cgroup by network device, their time in its queue and behind whose",
    "BlameSummary.networks": "what it had of each network device's queue, and whose packets that sent meanwhile",
    "NetworkBlame.packets": "that it sent",
    "NetworkBlame.bytes": "in them",
    "NetworkBlame.queue_ms": "until they were sent",
    "NetworkBlame.parts": "whose packets were sent while its own waited",
    "SchedWindow.disks": "requests of each cgroup by disk, their time and behind whose",
    "SchedWindow.duration_ns": "its length",
    "SchedWindow.end_ns": "when it ended, on the host's monotonic clock",
    "SecondaryMetric.requests": "of how many a percentile is, all trials of the arm with fewer together; left out: the "
    "trials' median",
    "SecondaryMetric.name": "the metric's",
    "Rate.name": "a short one",
    "TaskShare.name": "the process's or the kernel thread's",
    "TaskShare.share_pct": "of what the kernel, or the root cgroup, ran",
    "TaskTime.name": "the process's or the kernel thread's",
    "TasksWithin.kernel": "kernel threads",
    "TasksWithin.root": "processes of the root cgroup",
    "Tally.median_slowdown_pct": "of its experiments",
    "Verdict.advice": "what to do, sentences, the first first",
    "Verdict.causes": "where the additional time went; empty without an effect",
    "Verdict.aggressors": "whom it is charged to, the largest share first; empty without an effect",
    "Verdict.metrics": "the further metrics",
    "Verdict.pairs": "each pair of trials",
    "WorkloadSummary.unit": "the systemd unit's name",
    "reason": "why",
    "Aggressor.cause": "the cause that it is charged to",
    "Aggressor.share_pct": "of the additional time",
    "Blame.share_pct": "of all it waited in those trials",
    "Blocked.holder": "who holds the lock, where the kernel tells",
    "CacheSummary.domain": "the number of the cache, as resctrl has it",
    "CacheSummary.group": "the resctrl group; empty: the default one",
    "Cause.share_pct": "of the additional time; all sum to 100",
    "CgroupSummary.switches": "context switches to its tasks",
    "BlameSummary.disks": "what it had of each disk, and whom that served meanwhile",
    "DiskBlame.disk": "the kernel's name of it",
    "DiskBlame.read_bytes": "by its reads",
    "DiskBlame.reads": "requests that read",
    "DiskBlame.written_bytes": "by its writes",
    "DiskBlame.writes": "requests that wrote",
    "DiskBlame.parts": "whom it served while the cgroup's requests waited and were served",
    "EpisodeLabel.truth": "why that is so, a sentence",
    "Event.cause": "what it is put down to",
    "GateFinding.gate": "which check",
    "GateFinding.text": "what it found, a sentence",
    "HostNow.cgroups": "how many ran or waited",
    "HostSummary.caches": "the last-level caches, where resctrl is mounted",
    "Label.cause": "the cause to be found; null: there is none",
    "Label.truth": "what is true of it, a sentence",
    "Label.verdict": "the verdict to be found",
    "Moment.begin_s": "where it begins",
    "Moment.end_s": "where it ends",
    "Quality.discarded": "trials that did not count",
    "Quality.ok": "trust is good: there is no warning that speaks against the verdict",
    "Quality.pmu": "whether hardware counters were read, or why not",
    "Rate.meaning": "what it is a rate of",
    "Rate.pct": "hits of trials",
    "RunMatrix.waited_for": "the columns' names",
    "RunMatrix.waiting": "the rows' names",
    "RunSummary.lost_windows": "windows that were not recorded",
    "RunSummary.missing": "how many figures single windows lack, and why, by the figure's name",
    "SelftestFinding.verdict": "what was concluded; null: it failed",
    "SelftestFinding.trial_noise_pct": "robust spread of the trials without the neighbours; left out: it failed",
    "SelftestFinding.cause": "the largest cause that was found",
    "SelftestFinding.cause_share_pct": "of the additional time, the cause that was to be found",
    "SelftestFinding.culprit_share_pct": "of the blame, the neighbour that was to be found",
    "Suspect.share_pct": "of what the victim waited for neighbours",
    "SweepPoint.level_pct": "the quota, of the CPUs that the neighbours may use",
    "Trial.block": "the pair it belongs to",
    "Trial.index": "its place in the order in which trials ran",
    "Trial.metrics": "what was measured, by the metric's name",
    "Verdict.confirmed": "`--confirm`: each suspect stopped alone",
    "Verdict.reason": "one sentence that can be pasted into a review",
    "Verdict.sweep": "`--sweep`: the slowdown at each level, a rising curve",
    "Verdict.verdict": "the conclusion",
    "Verdict.victim_cgroup": "the victim's path",
    "WaitMatrix.wait_ms_per_trial": "a row for each that waited, a column for each that was waited for",
    "WaitMatrix.waited_for": "the columns' names",
    "WaitMatrix.waiting": "the rows' names",
    "WaitPart.share_pct": "of the whole wait",
    "witness": "how it is known",
    "WorkloadSummary.kind": "`root`, `container`, `pod`, `unit` or `cgroup`",
    "advice": "what to do, sentences, the first first",
    "arm": "without or with the neighbours",
    "better": "`lower` or `higher`: which way its owner wishes for",
    "blame_residual_pct": "of the victim's wait, what could not be charged to anybody",
    "block": "the pair's number",
    "busy_cpus": "CPUs kept busy, on average",
    "cgroup": "its path, as the kernel has it",
    "cgroup_mode": "`v1`, `v2` or `hybrid`",
    "charge": "what this part is charged to",
    "ci95_pct": "its interval of 95 %, `[low, high]`",
    "config_hash": "of the kernel, its command line and other settings: two that differ are two machines",
    "container": "its name",
    "container_id": "64 hexadecimal digits",
    "content": "what it holds",
    "episode": "which kind, by its name",
    "count": "how many of that name ran",
    "counting": "what counting events costs",
    "cpu": "its number",
    "cpu_pct": "of the host's CPU time",
    "cpu_s_with": "as `cpu_s_without`",
    "cpus": "how many there are",
    "cycles": "of the victim's cgroup; left out: not counted",
    "duration_s": "how long it took, or was watched",
    "error": "why not",
    "experiments": "how many",
    "files": "files beside the report",
    "findings": "what was found, one by one",
    "got_cpus": "CPUs on which its tasks ran, on average",
    "holder_cgroup": "where that process is",
    "hostname": "or a hash of it",
    "ipc": "instructions per cycle",
    "ipc_with": "as `ipc_without`",
    "irq_ns": "time in interrupts",
    "jostle_version": "what wrote it",
    "kernel": "its release",
    "kernel_run_ms": "all kernel threads",
    "llc_misses_with": "as `llc_misses_without`",
    "llc_ns": "on CPUs that share the last-level cache",
    "local_bytes": "moved to and from the memory of its own node",
    "lost_cpus": "CPUs that others had of it",
    "mean_waiting": "its tasks that waited, on average",
    "median_pairs": "of its experiments",
    "method": "`baseline`, `percent`, `sigma` or `threshold` (detection.md)",
    "metric": "its name",
    "name": "what people call it: a unit, a container, a pod, else its path",
    "namespace": "of the pod",
    "neighbours": "their command lines or cgroups",
    "noise_floor_pct": "what the noise of so many pairs could pass for: half the interval's width",
    "ns_per_switch": "what the probe adds to a context switch",
    "others_weight": "see `weight`",
    "p_value": "of no effect at all, two-sided: below 0.05 exactly where the interval leaves out 0",
    "Effect.alpha": "two-sided error of this one interval: its part of the 5 % of all that may be claimed",
    "FailureCount.p_value": "of no more of it with the neighbours, exact and one-sided",
    "FailureCount.what": "trials, or the name of what they counted",
    "FailureCount.without": "how often without the neighbours",
    "FailureCount.with": "how often with them",
    "pairs": "how many pairs of trials decided it",
    "partial": "it was interrupted, or did not come to its planned end",
    "path": "where it is",
    "pid": "of the busiest",
    "planned": "how many experiments there were to be",
    "pod": "its name",
    "pod_uid": "with hyphens",
    "qos_class": "`guaranteed`, `burstable` or `besteffort`",
    "image": "the container's image, as it was asked for",
    "project": "the project of Docker Compose",
    "service": "the service of Docker Compose",
    "owner": "what stays the same when it is made anew: by a pod's name what made it (Deployment, StatefulSet, …), a "
    "service of Docker Compose, a container's or a unit's name",
    "quota_cpus": "how much it is",
    "repeat": "how often each scenario ran",
    "right_culprit": "of those with the right verdict, how many named the right neighbour first",
    "right_verdict": "how many concluded what is true",
    "root_run_ms": "all processes in the root cgroup",
    "run_ms": "time on CPUs",
    "run_ns": "time on CPUs",
    "runtime": "`docker`, `containerd`, `cri-o`, `podman` or `lxc`",
    "scenario": "its name",
    "seed": "of the random order",
    "indicator": "the indicator (detection.md)",
    "slowdown_pct": "how much worse; below 0 it is better",
    "smt_ns": "on the sibling thread of its core",
    "softirq_ns": "time in soft interrupts",
    "sort": "the column that the rows are in order of",
    "steal_ns": "time that the hypervisor gave to other guests",
    "switches_per_s": "context switches of the host",
    "tallies": "by scenario",
    "threshold_pct": "the smallest slowdown that matters",
    "throttled_ns": "time its tasks waited for a quota",
    "throttled_ns_per_s": "time its tasks waited for a quota",
    "tier": "`ebpf`, `schedstat` or `psi`: how waits were measured",
    "total_bytes": "moved to and from memory",
    "unavailable": "why a figure is null, by its key",
    "unit": "what it is counted in",
    "verdicts": "how often each verdict was reached",
    "victim": "its command line, or its cgroup",
    "wanted_cpus": "CPUs on which its tasks ran, or wanted to, on average",
    "wait_ms": "time its tasks were runnable and had no CPU",
    "wait_ms_per_trial": "how long the victim waited for it",
    "wait_ns": "time its tasks were runnable and had no CPU",
    "wait_p50_ns": "half of its waits were no longer",
    "wait_p99_ns": "99 of 100 of its waits were no longer",
    "waits": "one count a bucket",
    "warnings": "what to know before relying on it",
    "with": "the figure with the neighbours",
    "with_s": "with the neighbours",
    "without": "the figure without the neighbours",
    "without_s": "without them",
}
"""Of keys that their records leave to their names: by `Record.key`, or by the key where it means the same in all."""

_UNITS = (
    (r"utc_ns$", "ns since the epoch"),
    (r"ns_per_s$", "ns/s"),
    (r"^.*ns_per_(switch|change)$", "ns"),
    (r"_per_s$", "1/s"),
    (r"(^|_)(ns|ms|s|bytes)(_per_trial|_without|_with)?$", r"\2"),
    (r"_pct$", "%"),
    (r"_mhz$", "MHz"),
    (r"(?<!allowed)(?<!idle)_cpus$", "CPUs"),
)

FACTS = {
    "command": "the command that was recorded, where there was one",
    "command_cgroup": "the cgroup that it ran in",
    "complete": "`1`: the recording came to its planned end",
    "flight_recorder_mib": "of the agent's memory for the last 15 minutes by the second; `0`: it keeps none",
    "globs": "the filters of `--cgroup`, as resolved",
    "host": "the record `Host`, in JSON",
    "notes": "the record `Notes`, in JSON",
    "self_cost": "the record `SelfCost`, in JSON",
    "title": "the user's own; empty: none was given",
    "note": "as the title",
    "started": "when, ISO 8601 with its offset from UTC",
    "tasks": "the record `TasksWithin`, in JSON",
    "tier": "how waits were measured",
}


MOST_WORDS = 4  # of an enum in a cell; else its name stands there
RUN_FILE = (Notes, TasksWithin, TaskTime, SchedWindow)


def key_of(name: str) -> str:
    return name.removesuffix("_")


def names_of(kind: type[Any]) -> list[str]:
    if issubclass(kind, msgspec.Struct):
        return [each.name for each in msgspec.structs.fields(kind)]
    return [each.name for each in fields(kind)] if is_dataclass(kind) else list(kind._fields)


def omissible(kind: type[Any], name: str) -> bool:
    known = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else fields(kind)
    return any(each.name == name and each.default is None for each in known)


def documents() -> dict[str, type[Any]]:
    """The records that are whole documents, by schema."""
    found = {kind.SCHEMA: kind for kind in Document.__subclasses__()}
    return {
        schema: {**found, DOCTOR_SCHEMA: Examination, LABELS_SCHEMA: Label, EPISODES_SCHEMA: EpisodeLabel}[
            schema
        ]
        for schema in WRITTEN_BY
    }


def hints_of(kind: type[Any]) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if name in names_of(kind)}


def parts_of(hint: Any) -> Iterator[type[Any]]:  # noqa: ANN401  a type hint has no narrower type
    """The records and enums in a type."""
    if isinstance(hint, type) and (issubclass(hint, Record | Enum) or is_dataclass(hint)):
        yield hint
    for each in get_args(hint):
        yield from parts_of(each)


def records(kind: type[Any]) -> Iterator[type[Any]]:
    """A record, and those in it, each before its own parts; one may come again."""
    yield kind
    if kind is SchedWindow:  # the figures in it have tables of their own
        return
    for hint in hints_of(kind).values():
        for part in parts_of(hint):
            if not issubclass(part, Enum):
                yield from records(part)


def type_in_words(hint: Any) -> str:  # noqa: ANN401  as `parts_of`
    """A type as JSON has it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        kinds = [type_in_words(each) for each in inner if each is not type(None)]
        joined = "number" if {"integer", "number"} >= set(kinds) and len(kinds) > 1 else " or ".join(kinds)
        return f"{joined} or null" if type(None) in inner else joined
    if origin is Literal:
        return "one of " + ", ".join(f"`{each}`" for each in inner)
    if origin is tuple:
        same = len(set(inner) - {Ellipsis}) == 1
        return f"list of {type_in_words(inner[0])}" if same else "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {type_in_words(inner[1])}, by name"
    if isinstance(hint, type) and issubclass(hint, Enum) and len(hint) <= MOST_WORDS:
        return "one of " + ", ".join(f"`{each.value}`" for each in hint)
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(hint, f"`{hint.__name__}`")


def unit(name: str) -> str:
    for pattern, said in _UNITS:
        if found := re.search(pattern, name):
            return found.expand(said)
    return ""


def notes_of(kind: type[Any]) -> dict[str, str]:
    return comments(kind)  # type: ignore[arg-type]  # mypy does not see that a class is hashable


@cache
def comments(kind: type[Any]) -> dict[str, str]:
    """What is written beside, or in the line above, each field or word."""
    lines, found = inspect.getsource(kind).splitlines(), {}
    for above, line in zip(["", *lines], lines, strict=False):
        if field := re.match(r"    (\w+)(?:: | = )[^#]*?(?:  # (.+))?$", line):
            before = above.strip().removeprefix("# ") if above.strip().startswith("# ") else None
            if said := field[2] or before:
                found[field[1]] = said
    return found


def sentences(kind: type[Any], name: str) -> str | None:
    """What the docstring says of a key: under Attributes, or the sentences that have it in backquotes."""
    doc = inspect.getdoc(kind) or ""
    if attribute := re.search(rf"^    {name}: (.+(?:\n        .+)*)", doc, re.MULTILINE):
        return " ".join(attribute[1].split())
    said = re.split(r"(?<=[.;:]) ", " ".join(doc.partition("Attributes:")[0].split()))
    return " ".join(each for each in said if f"`{key_of(name)}`" in each) or None


def first_sentence(kind: type[Any]) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def meaning(kind: type[Any], name: str) -> str:
    """What a key means; empty where nobody says."""
    key = key_of(name)
    beside = notes_of(kind).get(name)
    said = MEANINGS.get(f"{kind.__name__}.{key}") or beside or sentences(kind, name) or MEANINGS.get(key)
    if not said:
        inside = [part for part in parts_of(hints_of(kind)[name]) if part is not kind]
        said = first_sentence(inside[0]) if inside else ""
    note = "left out when there is none" if omissible(kind, name) and "left out" not in said.lower() else ""
    return "; ".join(each for each in (said.rstrip(".;:"), note) if said and each)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(kind: type[Any]) -> Iterator[str]:
    hints = hints_of(kind)
    yield "| key | type | unit | meaning |\n|---|---|---|---|\n"
    for name in names_of(kind):
        words = type_in_words(hints[name])
        yield f"| `{key_of(name)}` | {cell(words)} | {unit(key_of(name))} | {cell(meaning(kind, name))} |\n"
    yield "\n"


def words_of(kind: type[Any]) -> Iterator[str]:
    """The words of the enums in a record, where they are more than a cell holds, or explained."""
    for hint in hints_of(kind).values():
        for part in parts_of(hint):
            if issubclass(part, Enum) and (len(part) > MOST_WORDS or notes_of(part)):
                said = (
                    f": {notes_of(part)[each.name]}" if each.name in notes_of(part) else "" for each in part
                )
                listed = "; ".join(f"`{each.value}`{text}" for each, text in zip(part, said, strict=True))
                yield f"*{part.__name__}*: {listed}.\n\n"


def figure_table(title: str, of: str, specs: tuple[figures.FigureSpec, ...]) -> Iterator[str]:
    yield f"### {title}\n\n{of}\n\n| figure | unit | over windows | meaning |\n|---|---|---|---|\n"
    for spec in specs:
        counted = "" if spec.unit is figures.Unit.COUNT else spec.unit.value
        yield f"| `{spec.name}` | {counted} | {spec.growth.value} | {cell(spec.label)} |\n"
    yield "\n"


def run_file() -> Iterator[str]:
    yield "## The run file and the history, `jostle.run/1`\n\n"
    yield "SQLite; `jostle report FILE -f json` is the stable way to read one. Times are ns since the epoch.\n\n"
    yield f"```sql{windows._TABLES}```\n\n"
    yield (
        "A row of `windows` is the sum of `sum_of` windows, numbered `id - sum_of + 1` to `id`: one, but for old ones"
        " of a history that is full. `events.window` is the number of a window. `flights` are stretches of up to a"
        " minute by the second, beside the windows: `packed` is msgpack, `[paths, seconds]`. "
        "`windows.packed` is a window: msgpack compressed by zlib, the list `[figures, is_json, window]`. `figures`"
        " names the columns of its cgroups' `signals`; with `is_json` the window is a text of JSON, because a name in"
        " it is not UTF-8. `events.document` is a `jostle.event/1`. `facts` has, for each recording (a run file has"
        " one, a history one for each start of the agent):\n\n| key | meaning |\n|---|---|\n"
    )
    yield from (f"| `{key}` | {said} |\n" for key, said in sorted(FACTS.items()))
    yield "\n"
    for kind in RUN_FILE:
        yield f"### {kind.__name__}\n\n{first_sentence(kind)}\n\n"
        yield from table(kind)
    of = (
        "Of each cgroup; beside them `path`, `histogram` (waits by length) and `waited_for` (by path: wait in ns,"
        " and preemptions)."
    )
    yield from figure_table("What the scheduler's probe counts", of, figures.SCHED_FIGURES)
    of = "Of each cgroup from kernel files, in `signals.cgroups`, and in a summary's `signals`."
    yield from figure_table("What kernel files tell", of, figures.CGROUP_FIGURES)
    of = "In a summary's `signals`, from the counters of a window."
    yield from figure_table("What hardware counters tell", of, figures.specs(figures.CounterFigures))
    of = "Of each cgroup, without what is below it, in a summary's `devices`."
    yield from figure_table("What the probe counts of devices and reclaims", of, figures.DEVICE_FIGURES)
    for title, of, row in (
        ("Of a CPU", "In `signals.host.cpus`, by its number.", figures.CpuSignals),
        ("Of a cache", "In `signals.host.caches`, by resctrl group and cache.", figures.CacheSignals),
    ):
        yield from figure_table(title, of, figures.specs(row))


def page() -> str:
    return "".join(written()).rstrip() + "\n"


def written() -> Iterator[str]:
    yield (
        "# Documents, key by key\n\n"
        "Made from the records of the code by `tests/agent/documents/test_documents_page.py`, which also compares.\n"
        "Every document begins with `schema`. `null` means unavailable, never 0, and `unavailable` or the record itself"
        " says why. Keys that are not listed may come to be: ignore them. Names are tenants' text, and hostile: escape"
        " them. A byte that is not UTF-8 stands as six characters, such as `\\udcff`. Times are summed over tasks, and"
        " may be longer than the clock's.\n\n"
    )
    told: set[type[Any]] = set()
    said: set[str] = set()
    for schema, whole in documents().items():
        yield f"## {schema}\n\nWritten by {WRITTEN_BY[schema]}.\n\n"
        for kind in dict.fromkeys(records(whole)):
            if kind in told or (kind is not whole and kind in documents().values()):
                continue
            told.add(kind)
            heading = "" if kind is whole else f"### {kind.__name__}\n\n"
            yield f"{heading}{first_sentence(kind)}\n\n"
            yield from table(kind)
            for words in words_of(kind):
                yield "" if words in said else words
                said.add(words)
    yield from run_file()


def all_records() -> set[type[Any]]:
    wholes: list[type[Any]] = [*documents().values(), *RUN_FILE]
    return {kind for whole in wholes for kind in records(whole)}


def test_every_document_of_the_code_is_on_the_page() -> None:
    ours = [
        kind for kind in Document.__subclasses__() if kind.__module__.startswith("agent.")
    ]  # tests make some too
    assert ours
    assert {kind.SCHEMA for kind in ours} <= WRITTEN_BY.keys()


def test_every_key_has_a_meaning() -> None:
    silent = [
        f"{kind.__name__}.{key_of(name)}"
        for kind in all_records()
        for name in names_of(kind)
        if not meaning(kind, name)
    ]
    assert sorted(silent) == []


def test_no_meaning_is_of_a_key_that_is_gone() -> None:
    keys = {key_of(name) for kind in all_records() for name in names_of(kind)}
    keys |= {f"{kind.__name__}.{key_of(name)}" for kind in all_records() for name in names_of(kind)}
    assert sorted(MEANINGS.keys() - keys) == []


def test_the_page_is_as_the_code() -> None:
    if UPDATE:
        PAGE.write_text(page())
    there, wanted = (
        re.findall(r"^(?:\| `\w+` |#+ .*)", text, re.MULTILINE) for text in (PAGE.read_text(), page())
    )
    assert set(there) == set(wanted)
    assert PAGE.read_text() == page()


def facts_written() -> Iterator[str]:
    """The keys of what is said of a recording: literals beside "tier", and what is noted later."""
    for path in sorted((ROOT / "agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                keys = [str(key.value) for key in node.keys if isinstance(key, ast.Constant)]
                yield from keys if {"tier", "host"} <= set(keys) else ()
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "writer.note":
                yield ast.literal_eval(node.args[0])
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "facts":
                yield ast.literal_eval(node.slice)


def test_every_fact_of_a_run_file_is_on_the_page_and_none_else() -> None:
    assert {*facts_written(), "complete"} == FACTS.keys()  # `RunWriter.finish` notes that it is
