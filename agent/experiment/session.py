"""One experiment on this host: probe, cgroups and janitor around the runner, and what is known afterwards."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.analysis.observation import TrialResult
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin, tasks_within
from agent.documents.times import moment
from agent.documents.verdict import SelfCost
from agent.documents.verdict_parts import AppliedTreatment, Confirmation, Host, RemedyEffect
from agent.experiment.around import AroundTrial
from agent.experiment.design import Treatment
from agent.experiment.follow_ups import DoseResponse, FollowUps
from agent.experiment.neighbours import Neighbours
from agent.experiment.outputs import Outputs
from agent.experiment.plan import Plan
from agent.experiment.runner import Observer, Outcome, Rounds, run_experiment
from agent.experiment.switchback import (
    Slots,
    Treated,
    applied_treatment,
    remedy_effects,
    run_switchback,
    urgent,
    write_slots,
)
from agent.experiment.trial import TrialRunner
from agent.recording.host import describe_host
from agent.recording.self_cost import CostMeter, measure, self_cost
from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import wait_for_first
from agent.sandbox.existing import find_neighbours, find_victim
from agent.sandbox.interrupts import Interrupts
from agent.sandbox.janitor import Janitor
from agent.sandbox.leases import heal
from agent.sandbox.strays import Strays
from agent.store.files import own_directory
from agent.store.run_file import RunWriter, pack
from collectors.host.hierarchy import detect_layout
from collectors.sources.signal_reader import SignalReader
from collectors.sources.tasks import read_tasks
from collectors.sources.tiers import open_source
from collectors.windows.counters import WANTED
from collectors.windows.sched import NS_PER_S
from probes.perf_event import PerfEvent

RUN_SUFFIX = ".run"
SLOTS_FILE = "slots.csv"


@dataclass(frozen=True, slots=True)
class Session:
    """An experiment that has ended, and where it took place.

    Attributes:
        plan: What was asked for.
        outcome: Its trials and the last look at them.
        host: Where it ran.
        started: As `times.moment` writes it.
        duration_s: From the first to the last moment.
        victim_cgroup: The victim's cgroup.
        neighbours: Display name of each neighbour's cgroup.
        self_cost: What measuring cost; None where the kernel does not account for it.
        further: The rounds that were run after the verdict: of the confirmation, of the sweep.
        confirmed: Each suspect's own effect; None where none was stopped alone.
        sweep: What the levels cost; None where there was no sweep, or not two rounds of it.
        tasks: Who ran within the root cgroup and the kernel from the first trial to the verdict.
        treated: What was measured under each remedy, where the neighbours were treated in slots.
        applied: What that did to the neighbours.
        remedies: What each remedy gives back; empty where none but stopping was tried.
    """

    plan: Plan
    outcome: Outcome
    host: Host
    started: str
    duration_s: float
    victim_cgroup: str
    neighbours: dict[str, str]
    self_cost: SelfCost | None
    further: tuple[Rounds, ...] = ()
    confirmed: tuple[Confirmation, ...] | None = None
    sweep: DoseResponse | None = None
    tasks: TasksWithin = NOBODY_KNOWN
    treated: tuple[Treated, ...] = ()
    applied: AppliedTreatment | None = None
    remedies: tuple[RemedyEffect, ...] = ()


def run_session(
    plan: Plan, raw: Path, observer: Observer, interrupts: Interrupts, events: Sequence[PerfEvent] = WANTED
) -> Session:
    """Run an experiment; the raw data of each trial go to files in `raw`.

    The `events` are counted per cgroup where this host can. `interrupts` ends it before or within a trial; what was
    measured until then is in the outcome.

    Raises:
        JostleError: See `run_experiment`; HostError where this host cannot do it; UsageError where others could
            change what is in `raw`.
    """
    heal()  # before what a dead one left frozen is refused
    started, start_s = moment(time.time()), time.monotonic()
    own_directory(raw)
    layout = detect_layout()
    host = describe_host(layout)
    watched = find_victim(plan.victim_cgroup, layout) if plan.victim_cgroup is not None else None
    existing = find_neighbours(plan.neighbour_cgroups, watched, layout)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(layout, plan.tier, events if plan.counters else ()))
        signals = stack.enter_context(SignalReader(layout))
        workspace = Workspace(layout)
        janitor = stack.enter_context(Janitor(workspace.directories))
        janitor.claim(each.path for each in (watched, *existing) if each)
        stack.enter_context(workspace)
        strays = stack.enter_context(Strays(workspace.name, workspace.pids))
        victim = watched or workspace.make("victim")
        outputs = Outputs(raw)
        neighbours = Neighbours(plan, existing, workspace, janitor, outputs)
        trials = TrialRunner(
            plan,
            source,
            signals,
            victim,
            neighbours,
            around=AroundTrial(plan, workspace.make("around"), outputs, interrupts),
            layout=layout,
            strays=strays,
            outputs=outputs,
            interrupts=interrupts,
        )
        measured = _MeasuredTrials(trials.run, raw, {"host": pack(host), "tier": plan.tier}, interrupts)

        def rest(seconds: float) -> None:
            wait_for_first((), seconds, interrupts)

        before = read_tasks(layout)
        treated: list[Treated] = []
        slots: Slots | None = None
        if plan.slots and watched:
            slots = Slots(
                plan, source, watched, existing, janitor=janitor, layout=layout, interrupts=interrupts
            )
            with measure(source) as cost, slots.reading(), urgent():
                outcome, treated = run_switchback(plan, slots, observer, measured.keep)
            write_slots(raw / SLOTS_FILE, treated)
        else:
            with measure(source) as cost:
                outcome = run_experiment(plan, measured.run, observer, rest)
        tasks = tasks_within(before, read_tasks(layout))
        further = FollowUps(plan, measured.run, measured.last_index + 1, observer, neighbours, rest)
        if plan.confirm != "never":
            further.confirm(outcome, watched, layout)
        if plan.sweep_pct:
            further.sweep(outcome)
    return Session(
        plan=plan,
        outcome=outcome,
        host=host,
        started=started,
        duration_s=time.monotonic() - start_s,
        victim_cgroup=victim.path,
        neighbours=neighbours.names(),
        self_cost=_self_cost(outcome, cost),
        further=tuple(further.rounds),
        confirmed=further.confirmed,
        sweep=further.swept,
        tasks=tasks,
        treated=tuple(treated),
        applied=applied_treatment(treated[0], slots) if slots else None,
        remedies=remedy_effects(treated, slots, plan.threshold_pct) if slots else (),
    )


@dataclass(slots=True)
class _MeasuredTrials:
    """Runs trials and keeps each one's raw data, but the warm-up's."""

    run_trial: Callable[[int, int, Treatment], TrialResult]
    raw: Path
    meta: dict[str, str]
    interrupts: Interrupts
    last_index: int = 0

    def run(self, index: int, block: int, treatment: Treatment) -> TrialResult:
        self.interrupts.check()
        self.last_index = index
        result = self.run_trial(index, block, treatment)
        if index:
            self.keep(result, treatment)
        return result

    def keep(self, result: TrialResult, treatment: Treatment | None = None) -> None:
        """Write what a trial gave to a file of its own."""
        stem = treatment.stem if treatment else str(result.arm)
        path = self.raw / f"trial-{result.index:03d}-{stem}{RUN_SUFFIX}"
        meta = {
            "arm": str(result.arm),
            "treatment": str(treatment) if treatment else f"{result.arm} the neighbours, in slots",
            "started": moment(time.time()),
        }
        with RunWriter(path, {**self.meta, **meta}) as writer:
            writer.append(result.window)
            writer.finish()


def _self_cost(outcome: Outcome, cost: CostMeter) -> SelfCost | None:
    windows = [trial.window for trial in outcome.trials]
    switches = sum(cpu.switches for window in windows for cpu in window.cpus)
    seconds = sum(window.duration_ns for window in windows) / NS_PER_S
    return self_cost(cost, switches, seconds, os.cpu_count() or 1)
