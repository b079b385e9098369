"""What is read of the victim after a trial: its metrics, and whom it waited for."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.documents.metric import DURATION, STRETCH, Sample
from agent.experiment.victim_metrics import MetricSpec, read_metrics
from collectors.windows.sched import CgroupWindow, WaitFor, is_within

# Of a victim's output, which a chatty one makes endless, the figure is looked for in the end.
OUTPUT_LIMIT = 4 << 20
# A cgroup that ran less than this share of a trial says nothing about how it ran.
LEAST_RUN_RATIO = 0.01
_NS_PER_S = 1e9


def samples_of(
    specs: Sequence[MetricSpec], duration_s: float, victim: CgroupWindow, output: Sequence[Path]
) -> tuple[Sample, ...]:
    """The metrics of one trial, the primary first; `output` is what the victim wrote, nothing when it is watched.

    Raises:
        MetricError: The output does not hold one of them.
    """
    measured = {DURATION.name: Sample(DURATION, duration_s), STRETCH.name: Sample(STRETCH, stretch(victim))}
    texts = [end_of(path) for path in output]
    return tuple(
        sample
        for spec in specs
        for sample in (read_metrics(spec, *texts) if spec.reader else [measured[spec.text]])
    )


def stretch(victim: CgroupWindow) -> float:
    """Seconds that it ran or waited for a CPU, its quota included, per second that it ran."""
    return (victim.run_ns + victim.wait_ns) / max(1, victim.run_ns)


def idle(victim: CgroupWindow, duration_s: float) -> str | None:
    """Why a cgroup that hardly ran says nothing about how it ran; None when it ran enough."""
    if victim.run_ns > LEAST_RUN_RATIO * duration_s * _NS_PER_S:
        return None
    return (
        f"the victim {victim.path} ran for {victim.run_ns / 1e6:.0f} ms in {duration_s:.1f} s: give it load"
    )


def fold_subtrees(victim: CgroupWindow, neighbours: Iterable[str]) -> CgroupWindow:
    """The same window, with the waits for cgroups below a neighbour charged to that neighbour."""
    waits: dict[str, WaitFor] = {}
    paths = list(neighbours)
    for path, wait in victim.waited_for.items():
        whole = owner_of(path, paths)
        before = waits.get(whole, WaitFor(0, 0))
        waits[whole] = WaitFor(before.wait_ns + wait.wait_ns, before.preemptions + wait.preemptions)
    return replace(victim, waited_for=waits)


def owner_of(path: str, neighbours: Iterable[str]) -> str:
    """The neighbour that a cgroup is part of, or the cgroup itself."""
    return next((neighbour for neighbour in neighbours if is_within(path, neighbour)), path)


def end_of(path: Path, limit: int = OUTPUT_LIMIT) -> str:
    """The text of a file; of one longer than `limit` bytes the last whole lines within them."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read(limit)
    whole = data if size <= limit else data.partition(b"\n")[2]
    return whole.decode("utf-8", errors="replace")
