"""What a host can measure, as sections: the answer of `jostle doctor`."""

from collections.abc import Mapping, Sequence

from agent.documents.capabilities import Capability, Counting
from reports.figures import time_ns
from reports.sections.model import Facts, Report, Table, TableColumn

STATES = ("available", "degraded", "missing")
CLAUSES = {"available": "can measure", "degraded": "can measure in part", "missing": "cannot measure"}
WORDS = {
    "scheduler latency": "waits for a CPU and behind whom",
    "preemption": "who preempts whom",
    "run-queue length": "queue lengths",
    "throttled waits": "waits for a quota",
    "stolen time": "time that interrupts or the hypervisor take from a task",
    "co-run": "who runs beside whom",
    "cgroups": "cgroups apart",
    "ipc": "instructions per cycle",
    "throttling": "CPU limits and throttling",
    "psi-cpu": "CPU pressure",
    "psi-memory": "memory pressure",
    "psi-io": "I/O pressure",
    "memory-reclaim": "memory reclaim",
    "block-io": "block I/O",
    "frequency": "CPU frequency",
    "steal": "steal time",
    "interrupts": "interrupt time",
    "smt-topology": "which CPUs share a core",
    "llc-topology": "which CPUs share a cache",
    "resctrl": "cache occupancy and memory bandwidth",
    "names": "names of units and containers",
    "schedstat": "waits without eBPF",
}

NOT_MEASURED = frozenset({"compiled probes", "kernel memory"})
"""Capabilities that are in the table, and in no sentence about what can be measured."""


def doctor_report(capabilities: Sequence[Capability], counting: Counting) -> Report:
    """What the host can and cannot measure, then each with its reason and remedy, and what counting costs."""
    sections = (capability_table(capabilities), counting_facts(counting))
    return Report(_headline(capabilities), _sentence(capabilities), sections)


def capability_table(capabilities: Sequence[Capability]) -> Table:
    """One row per capability, in the order given."""
    return Table(
        "Capabilities",
        (TableColumn("Capability"), TableColumn("State"), TableColumn("Why"), TableColumn("Remedy")),
        tuple(
            (capability.name, capability.state, capability.reason or "", capability.remedy or "")
            for capability in capabilities
        ),
    )


def counting_facts(counting: Counting) -> Facts:
    """What counting events adds to a context switch, and on what that was measured."""
    kind = "" if counting.hardware else "software events, which stand in: "
    counted = f"{kind}{', '.join(counting.events)}" if counting.events else "nothing"
    items = [("Per switch between cgroups", time_ns(counting.ns_per_change)), ("Counted", counted)]
    why = [("Why", counting.reason)] if counting.reason else []
    return Facts("What counting events costs", (*items, *why))


def _headline(capabilities: Sequence[Capability]) -> str:
    states = {capability.state for capability in capabilities}
    if "available" not in states and "degraded" not in states:
        return "Nothing to measure with"
    if "missing" in states:
        return "Some capabilities are missing"
    return "Some capabilities are degraded" if "degraded" in states else "Every capability is available"


def _sentence(capabilities: Sequence[Capability]) -> str:
    """In words: what can be measured, what only in part, and what cannot."""
    named = {
        state: [
            WORDS.get(capability.name, capability.name)
            for capability in capabilities
            if capability.state == state and capability.name not in NOT_MEASURED
        ]
        for state in STATES
    }
    parts = [f"{words} {_listed(named[state])}" for state, words in CLAUSES.items() if named[state]]
    return f"This host {'; '.join(parts)}." if parts else "No capability was looked for."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def metrics_report(readers: Mapping[str, tuple[str, str]]) -> Report:
    """What `--metric` may be.

    Args:
        readers: By name, the lines that it looks for and what it reads of them.
    """
    sentence = (
        "--metric is duration (the default), stretch of a running cgroup, one of these readers, or "
        "NAME=REGEX:lower|higher[:UNIT] with one group around the number. Of several results in one output the last "
        "complete one counts, of several matches of a pattern the last."
    )
    told = tuple(
        Facts(name, (("Reads", about), ("Looks for", looks_for)))
        for name, (looks_for, about) in sorted(readers.items())
    )
    return Report("Metrics", sentence, told)
