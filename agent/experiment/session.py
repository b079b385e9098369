"""One experiment on this host: probe, cgroups and janitor around the runner, and what is known afterwards."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.experiment.janitor import Janitor
from agent.experiment.plan import Plan
from agent.experiment.runner import Observer, Outcome, run_experiment
from agent.experiment.trial import TrialResult, TrialRunner
from agent.experiment.trial_cgroups import Workspace
from agent.host import describe_host
from agent.interrupts import Interrupts
from agent.runfile import RunWriter, pack
from agent.self_cost import CostMeter, measure, self_cost
from agent.verdict import Arm, Host, SelfCost
from collectors.hierarchy import detect_layout
from collectors.source import Source, open_source

RUN_SUFFIX = ".run"


@dataclass(frozen=True, slots=True)
class Session:
    """An experiment that has ended, and where it took place.

    Attributes:
        plan: What was asked for.
        outcome: Its trials and the last look at them.
        host: Where it ran.
        started: ISO 8601, UTC.
        duration_s: From the first to the last moment.
        victim_cgroup: The victim's cgroup.
        neighbours: Display name of each neighbour's cgroup.
        self_cost: What measuring cost; None where the kernel does not account for it.
    """

    plan: Plan
    outcome: Outcome
    host: Host
    started: str
    duration_s: float
    victim_cgroup: str
    neighbours: dict[str, str]
    self_cost: SelfCost | None


def run_session(plan: Plan, raw: Path, observer: Observer, interrupts: Interrupts) -> Session:
    """Run an experiment; the raw data of each trial go to files in `raw`.

    `interrupts` ends it before or within a trial; what was measured until then is in the outcome.

    Raises:
        JostleError: See `run_experiment`; HostError where this host cannot do it.
    """
    started, start_s = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    layout = detect_layout()
    host = describe_host(layout)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(layout, plan.tier))
        workspace = Workspace(layout)
        stack.enter_context(Janitor(workspace.directories))
        stack.enter_context(workspace)
        trials = TrialRunner(plan, source, workspace, raw, interrupts)
        measured = _Measured(trials.run, source, raw, {"host": pack(host), "tier": plan.tier}, interrupts)
        outcome = run_experiment(plan, measured.run, observer)
    return Session(
        plan=plan,
        outcome=outcome,
        host=host,
        started=started,
        duration_s=time.monotonic() - start_s,
        victim_cgroup=trials.victim.path,
        neighbours=trials.names(),
        self_cost=_self_cost(outcome, measured.cost),
    )


@dataclass(slots=True)
class _Measured:
    """Runs trials, keeps each one's raw data, and takes the probe's own cost during the warm-up.

    Not during the trials: accounting itself costs two clock readings per switch.
    """

    run_trial: Callable[[int, int, Arm], TrialResult]
    source: Source
    raw: Path
    meta: dict[str, str]
    interrupts: Interrupts
    cost: CostMeter = field(default_factory=CostMeter)

    def run(self, index: int, block: int, arm: Arm) -> TrialResult:
        self.interrupts.check()
        if index == 0:
            with measure(self.source) as meter:
                result = self.run_trial(index, block, arm)
            self.cost = meter
            return result
        result = self.run_trial(index, block, arm)
        path = self.raw / f"trial-{index:03d}-{arm}{RUN_SUFFIX}"
        with RunWriter(path, {**self.meta, "arm": arm, "started": datetime.now(UTC).isoformat()}) as writer:
            writer.append(result.window)
            writer.finish()
        return result


def _self_cost(outcome: Outcome, cost: CostMeter) -> SelfCost | None:
    windows = [trial.window for trial in outcome.trials]
    switches = sum(cpu.switches for window in windows for cpu in window.cpus)
    seconds = sum(window.duration_ns for window in windows) / 1e9
    return self_cost(cost, switches, seconds, os.cpu_count() or 1)
