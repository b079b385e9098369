"""What one trial gave, as the analysis sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.analysis.trial_signals import TrialSignals
from agent.documents.metric import Sample
from agent.documents.verdict_parts import Arm
from collectors.windows.sched import CgroupWindow, SchedWindow
from probes.perf_event import Reading


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one trial gave.

    Attributes:
        index: Number of the trial in the order they ran, from 0.
        block: Number of its block, from 0; void trials are repeated in the same block.
        arm: With or without the neighbours.
        duration_s: From release to exit of the victim, or as long as it was watched.
        samples: The metrics, the primary first; empty when void.
        victim: The victim cgroup's window, with everything below it.
        others_run_ns: On-CPU time of every other cgroup, a neighbour's with all below it.
        window: The whole host's window.
        void: Why the trial does not count, or None.
        trial_signals: What else held the victim up; None where it was not read.
        counted: What the victim's events counted, by name; empty where none is counted.
    """

    index: int
    block: int
    arm: Arm
    duration_s: float
    samples: tuple[Sample, ...]
    victim: CgroupWindow
    others_run_ns: Mapping[str, int]
    window: SchedWindow
    void: str | None
    trial_signals: TrialSignals | None = None
    counted: Mapping[str, Reading] = field(default_factory=dict)
