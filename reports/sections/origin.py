"""Where figures come from, as sections: the experiment, the host, the command, the files, the cost."""

import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby

from agent.documents.plan import RegisteredPlan
from agent.documents.verdict import SelfCost
from agent.documents.verdict_parts import DataFile, Experiment, Host
from reports.figures import UNAVAILABLE, coarse_percent, count, counted, percent, quantity, seconds
from reports.sections.model import Facts, Kind, Listing, ShellCommand, Table, TableColumn

COST_WORDS = {
    "self_cost.ns_per_switch": "own cost per context switch",
    "self_cost.switches_per_s": "context switches per second",
    "self_cost.cpu_pct": "own CPU use",
}


def experiment_facts(experiment: Experiment) -> Facts:
    """What was run: commands, metrics, CPUs, trials."""
    return Facts(
        "Experiment",
        (
            ("Victim", experiment.victim),
            *(("Neighbour", neighbour) for neighbour in experiment.neighbours),
            ("Metrics", ", ".join(experiment.metrics)),
            ("CPUs", experiment.cpus or "not pinned"),
            ("Trials", f"{count(len(experiment.order))} in random order, seed {experiment.seed}"),
            ("Started", f"{experiment.started}, took {seconds(experiment.duration_s)}"),
            *_planned(experiment),
            ("jostle", experiment.jostle_version),
        ),
    )


def _planned(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if experiment.plan_sha256:
        yield "Plan", f"written before the first trial, SHA-256 {experiment.plan_sha256}"
    if experiment.earlier_runs:
        asked = counted(experiment.earlier_runs, "earlier experiment")
        yield "Asked before", f"in {asked} in the same place: all count, not the one that suits"


def foreseen(plan: RegisteredPlan) -> Iterator[str]:
    """What the plan can show, from two pairs, in sentences."""
    power, most = plan.power, plan.looks[-1]
    if power is None:
        return
    shows = "show nothing" if power.found_pct is None else f"show a slowdown of {percent(power.found_pct)}"
    clears = "clear neighbours that change nothing" if power.clears else "clear nothing"
    yield f"On this host {counted(most, 'pair')} (about {seconds(power.duration_s)}) can {shows}, and {clears}."
    if power.pairs_to_clear is None:
        yield "Not even 1,000 pairs would clear: make the trials longer, or the host quieter."
    elif not power.clears:
        took = seconds(power.to_clear_s)
        yield f"{counted(power.pairs_to_clear, 'pair')} would (about {took}): --max-pairs {power.pairs_to_clear}."
    yield (
        f"Told from two pairs, in which the noise of a trial was {percent(power.trial_noise_pct)}: it may be half or "
        "twice that. Each is so in four runs of five."
    )


def host_line(host: Host) -> str:
    """The host in a few words."""
    return f"{host.hostname} ({host.kernel})"


def host_facts(host: Host) -> Facts:
    """The host it was run on."""
    return Facts(
        "Host",
        (
            ("Name", host.hostname),
            ("Kernel", host.kernel),
            ("CPUs", f"{count(host.cpus)} ({host.topology})"),
            ("Cgroups", host.cgroup_mode),
            ("Configuration", host.config_hash),
        ),
    )


def to_repeat(experiment: Experiment) -> ShellCommand:
    """The command that makes the experiment again."""
    return ShellCommand("To run it again", tuple(map(shlex.quote, experiment.command)))


def file_table(files: tuple[DataFile, ...]) -> Table:
    """The files beside the report; of those that hold one kind of thing the first and the last."""
    kinds = [
        (content, [each.path for each in group])
        for content, group in groupby(files, lambda file: file.content)
    ]
    return Table(
        "Files",
        (TableColumn("File", Kind.FILE), TableColumn("Content")),
        tuple(
            (paths[0], content)
            if len(paths) == 1
            else (f"{paths[0]} to {paths[-1]}", f"{counted(len(paths), 'file')}, each: {content}")
            for content, paths in kinds
        ),
    )


def own_cost(cost: SelfCost | None) -> str:
    """What measuring cost the host, in one line."""
    if cost is None:
        return UNAVAILABLE
    per_switch = f"{quantity(cost.ns_per_switch, 'ns')} per context switch"
    memory = cost.kernel_memory_bytes
    held = "" if memory is None else f", {memory / (1 << 20):.0f} MiB of kernel memory"
    return f"{per_switch} at {quantity(cost.switches_per_s, '/s')}, {coarse_percent(cost.cpu_pct)} of CPU time{held}"


def counters_part(cost: SelfCost | None, uncounted: str | None) -> str:
    """What counting events added to each context switch, or why there was nothing to count."""
    added_ns = cost.counters_ns_per_switch if cost else None
    if added_ns is None and uncounted is not None:
        return f"none: {uncounted}"
    return UNAVAILABLE if added_ns is None else f"{quantity(added_ns, 'ns')} per context switch"


def unavailable_listing(reasons: Mapping[str, str], words: Mapping[str, str]) -> Listing:
    """The figures that are not available, each under its name in `words`, grouped by the reason.

    Args:
        reasons: The reason by the figure's key.
        words: What people call each key; a key without an entry stands for itself.
    """
    by_reason: dict[str, list[str]] = {}
    for key, reason in sorted(reasons.items()):
        by_reason.setdefault(reason, []).append(words.get(key, key))
    return Listing(
        "Not available", tuple(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
    )
