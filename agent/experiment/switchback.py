"""An experiment on what runs already: the neighbours are treated in slots of a tenth of a second, in random places.

`agent.statistics.switchback` has the design and what follows from it. Here the slots are run: at their edges the probe
and the victim's figures are read, each change is a lease with a deadline of its own, and a block in which something
came between is repeated.
"""

import contextlib
import csv
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep

from agent.analysis.observation import TrialResult, is_idle, observe
from agent.documents.metric import STRETCH, Metric, Ratio, Sample
from agent.documents.verdict_parts import AppliedTreatment, Arm, RemedyEffect
from agent.experiment.design import ALONE
from agent.experiment.plan import Plan
from agent.experiment.runner import Observer, Outcome
from agent.experiment.victim_metrics.live import per_unit
from agent.sandbox.commands import wait_for_first
from agent.sandbox.existing import ExistingCgroup, Freezable
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.sandbox.janitor import Janitor
from agent.sandbox.leases import LEASE_S
from agent.sandbox.treatments import FileChange, Remedy, applied, changes_of, how_to_apply
from agent.statistics.decision import Decision, decide
from agent.statistics.design import ALPHA, LookPlan, plan_looks
from agent.statistics.effect import EffectEstimate, TrialPair, secondary_effects, slowdown
from agent.statistics.switchback import (
    FEWEST_SLOTS,
    Block,
    carry_over_pct,
    guard_s,
    independent,
    places,
    randomisation_p_value,
)
from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, read_text
from collectors.sources.tiers import Source
from collectors.windows import sched
from collectors.windows.sched import NS_PER_MS, NS_PER_S, CpuWindow, SchedWindow
from probes.errors import JostleError, UsageError
from probes.snapshot import Snapshot

SHORTEST_S = 0.05
# What reading takes comes on top of a slot, and the deadline is enforced from outside.
LONGEST_OF_STOP = 0.8
# A quota counts in periods of 0.1 s: some of them must lie in a slot.
QUOTA_SLOTS_S = (0.3, 0.45)
QUOTA_PERIOD_S = 0.1
# The other slots are this much longer than the treated one, so that what delays its end does not exceed the share.
OTHERS_LONGER = 1.2
GUARDS_S = (0.005, 0.01, 0.02, 0.04)
_POLL_S = 0.001
# On a busy host somebody is late now and then: so many times in a row is no accident.
MOST_VOID = 10


@dataclass(frozen=True, slots=True)
class Edge:
    """The moment at which a slot, or a part of one, ends and the next begins."""

    at_s: float
    snapshot: Snapshot
    marks: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """What was measured in one slot; `held_s`: for how long its changes were in force, 0 in all but the treated one."""

    begin_s: float
    end_s: float
    window: SchedWindow
    amounts: Mapping[Metric, Ratio]
    held_s: float = 0.0
    parts: tuple[Ratio, ...] = ()
    marks: tuple[tuple[tuple[float, ...], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class RunBlock:
    """One block; `void`: why it does not count."""

    slots: tuple[Slot, ...]
    treated: int
    void: str | None = None

    def figures(self, metric: Metric = STRETCH) -> Block:
        """What the statistics need of it."""
        return Block(tuple(slot.amounts[metric] for slot in self.slots), self.treated)


@dataclass(slots=True)
class Bounds:
    """What was done to the neighbours so far, from the first block to the end of the last, void ones too."""

    slots: int = 0
    longest_s: float = 0.0
    held_s: float = 0.0
    began_s: float = math.inf
    ended_s: float = -math.inf

    def add(self, block: RunBlock) -> None:
        """One more block."""
        held_s = block.slots[block.treated].held_s
        self.slots += 1
        self.longest_s = max(self.longest_s, held_s)
        self.held_s += held_s
        self.began_s = min(self.began_s, block.slots[0].begin_s)
        self.ended_s = block.slots[-1].end_s

    @property
    def pct(self) -> float:
        """For how much of the time it was in force."""
        return 100 * self.held_s / (self.ended_s - self.began_s) if self.slots else 0.0

    def rest_until_s(self, most_pct: float) -> float:
        """When it has been in force for no more of the time than this."""
        return self.began_s + self.held_s * 100 / most_pct


class AbortedError(JostleError):
    """A figure of the victim is where the user wants an end."""


class Slots:
    """Runs blocks of slots on this host."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        victim: ExistingCgroup,
        neighbours: Sequence[Freezable],
        *,
        janitor: Janitor,
        layout: CgroupLayout,
        interrupts: Interrupts,
    ) -> None:
        self._plan = plan
        self._source = source
        self.victim = victim
        self.neighbours = tuple(neighbours)
        self._janitor = janitor
        self._interrupts = interrupts
        self._changes = {
            (remedy, each): changes_of(remedy, each, layout)
            for remedy in plan.remedies
            for each in self.neighbours
        }
        self.bounds = {remedy: Bounds() for remedy in plan.remedies}
        self._live = [spec.live for spec in plan.metrics if spec.live]
        per_work = per_unit(self._live)
        asked = [spec.live.metric if spec.live else STRETCH for spec in plan.metrics]
        self.metrics = tuple(dict.fromkeys([*asked, STRETCH, *([per_work] if per_work else [])]))
        """All figures, the primary first; among them always the stretch, which the causes are of."""
        self._per_work = per_work
        self._uniform = random.Random(plan.seed).random  # noqa: S311  a randomised design, not a secret
        self.guard_s = GUARDS_S[-1]

    def slots_of(self, remedy: Remedy) -> int:
        """How many slots a block has: as many as keep the neighbours from being stopped too much of the time."""
        if not remedy.stops:
            return FEWEST_SLOTS
        return max(FEWEST_SLOTS, -int(-100 // self._plan.max_stopped_pct))

    def cycle(self, remedy: Remedy, *, pilot: bool = False) -> list[RunBlock]:
        """As many blocks as there are places, each of which is treated once; void ones are repeated.

        Raises:
            JostleError: The victim or a neighbour is gone, a change is refused, or ten blocks in a row are void.
            Interrupted: There was a signal.
        """
        order = sorted(range(places(self.slots_of(remedy))), key=lambda _: self._uniform())
        return [self._until_valid(remedy, treated, pilot=pilot) for treated in order]

    def learn_guard(self, blocks: Sequence[RunBlock]) -> None:
        """Take the guard's length from the blocks of a pilot."""
        parts = zip(*(block.slots[block.treated].parts for block in blocks), strict=True)
        self.guard_s = guard_s(GUARDS_S, [sum(part, Ratio()) for part in parts])

    def restored(self) -> bool:
        """Whether every file that was changed says again what was found in it; what is gone needs nothing."""
        return restored(change for changes in self._changes.values() for change in changes)

    def changes_to(self, remedy: Remedy, neighbour: Freezable) -> tuple[FileChange, ...]:
        """What a remedy is for one of the neighbours."""
        return self._changes[remedy, neighbour]

    def neighbours_cpus(self, slots: Sequence[Slot]) -> float:
        """How many CPUs they kept busy together in these slots."""
        ran = (
            sched.subtree(slot.window.cgroups, each.path).run_ns for slot in slots for each in self.neighbours
        )
        return sum(ran) / sum(slot.window.duration_ns for slot in slots)

    def _until_valid(self, remedy: Remedy, treated: int, *, pilot: bool) -> RunBlock:
        for _ in range(MOST_VOID):
            self._interrupts.check()
            block = self._block(remedy, treated, pilot=pilot)
            bounds = self.bounds[remedy]
            bounds.add(block)
            if remedy.stops and bounds.pct > self._plan.max_stopped_pct:
                bounds.ended_s = self._at(bounds.rest_until_s(self._plan.max_stopped_pct)).at_s
            # Now, with all changes undone: the answers to the last requests come later than the slots end.
            block = replace(block, slots=tuple(map(self._with_live, block.slots)))
            self._abort(block)
            if block.void is None:
                return block
        raise JostleError(f"{MOST_VOID} blocks of slots failed, one after the other: {block.void}")

    def _abort(self, block: RunBlock) -> None:
        """Raise AbortedError where a figure is what `--abort-if` says."""
        if (limit := self._plan.abort_if) is None:
            return
        metric = next((each for each in self.metrics if each.name == limit.metric), None)
        if metric is None:
            names = ", ".join(each.name for each in self.metrics)
            raise UsageError(f"--abort-if: there is no figure {limit.metric!r}", f"use one of {names}")
        value = sum((slot.amounts[metric] for slot in block.slots), Ratio()).value
        if limit.is_met(value):
            raise AbortedError(f"ended by --abort-if: {metric.name} was {value:.4g}, and {limit} ends it")

    def _block(self, remedy: Remedy, treated: int, *, pilot: bool) -> RunBlock:
        for cgroup in (self.victim, *(each.cgroup for each in self.neighbours)):
            cgroup.require()
            if not cgroup.pids():
                raise JostleError(
                    f"the cgroup {cgroup.called} has no process left", "is its service still running?"
                )
        length_s, slots = self._length_s(remedy), []
        edge, void = self._edge(), None
        for place in range(self.slots_of(remedy)):
            if place == treated:
                slot, edge, void = self._treated(remedy, length_s, pilot=pilot)
            else:
                begin, edge = edge, self._at(edge.at_s + length_s * OTHERS_LONGER)
                slot = self._slot(begin, edge)
            slots.append(slot)
        return RunBlock(tuple(slots), treated, void or self._ran_on(remedy, slots[treated]))

    def _length_s(self, remedy: Remedy) -> float:
        least_s, most_s = QUOTA_SLOTS_S
        if remedy.stops:
            most_s = LONGEST_OF_STOP * self._plan.max_stop_ms / 1000
            least_s = min(SHORTEST_S, most_s)
        return least_s + (most_s - least_s) * self._uniform()

    def _treated(self, remedy: Remedy, length_s: float, *, pilot: bool) -> tuple[Slot, Edge, str | None]:
        """The slot with the changes in force, its end, and why it does not count."""
        most_s = self._plan.max_stop_ms / 1000 if remedy.stops else LEASE_S
        began_s = monotonic()
        changes = [change for each in self.neighbours for change in self._changes[remedy, each]]
        with applied(changes, self._janitor, most_s):
            void = self._stands_still(began_s + length_s / 2) if remedy.stops else None
            frozen_s = monotonic()
            guard_s = max(self.guard_s, QUOTA_PERIOD_S if not remedy.stops else 0)
            guards_s = [each for each in GUARDS_S if each < length_s / 3] if pilot else [guard_s]
            edges = [self._edge(), *(self._at(frozen_s + each) for each in guards_s)]
            end = self._at(began_s + length_s)
            void = void or self._janitor.expired()
        held_s = monotonic() - began_s
        parts = tuple(
            self._slot(a, b).amounts[STRETCH] for a, b in zip(edges, [*edges[1:], end], strict=True)
        )
        nothing = [Ratio()] * (len(GUARDS_S) + 1 - len(parts))
        slot = self._slot(edges[-1], end)
        return replace(slot, held_s=held_s, parts=(*parts[:-1], *nothing, parts[-1])), end, void

    def _stands_still(self, deadline_s: float) -> str | None:
        """Wait for it: a task that waits for a CPU freezes when it gets one, and until then takes nothing."""
        for each in self.neighbours:
            while not each.freezer.is_frozen():
                if monotonic() > deadline_s:
                    return f"{each.cgroup.called} did not freeze in half of its slot: give it longer by --max-stop-ms"
                sleep(_POLL_S)
        return None

    def _ran_on(self, remedy: Remedy, slot: Slot) -> str | None:
        if not remedy.stops:
            return None
        for each in self.neighbours:
            ran_s = sched.subtree(slot.window.cgroups, each.path).run_ns / NS_PER_S
            if ran_s > 0.01 * (slot.end_s - slot.begin_s) + 0.001:
                return f"{each.cgroup.called} ran for {ran_s * 1000:.0f} ms though it was frozen"
        return None

    def _at(self, at_s: float) -> Edge:
        while (left_s := at_s - monotonic()) > 0:
            wait_for_first((), left_s, self._interrupts)
        self._janitor.renew()
        return self._edge()

    def _edge(self) -> Edge:
        return Edge(monotonic(), self._source.read(), tuple(figure.mark() for figure in self._live))

    def _slot(self, begin: Edge, end: Edge) -> Slot:
        window = sched.window(begin.snapshot, end.snapshot)
        victim = sched.subtree(window.cgroups, self.victim.path)
        amount = Ratio((victim.run_ns + victim.wait_ns) / NS_PER_S, victim.run_ns / NS_PER_S)
        return Slot(begin.at_s, end.at_s, window, {STRETCH: amount}, marks=(begin.marks, end.marks))

    def _with_live(self, slot: Slot) -> Slot:
        """With what the victim's own figures grew by in it."""
        amounts = dict(slot.amounts)
        for figure, begin, end in zip(self._live, *slot.marks, strict=True):
            amounts[figure.metric] = figure.amount(begin, end)
        counted = next((amounts[each.metric] for each in self._live if each.metric.better == "higher"), None)
        if self._per_work and counted:
            amounts[self._per_work] = Ratio(1000 * amounts[STRETCH].under, counted.over)
        return replace(slot, amounts=amounts)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """The victim's figures are read within; one that cannot be is told before anything is changed.

        Raises:
            MetricError: It cannot.
        """
        with contextlib.ExitStack() as stack:
            for figure in self._live:
                stack.callback(figure.stop)
                figure.start()
            yield


def restored(changes: Iterable[FileChange]) -> bool:
    """Whether each file says again what was found in it; what is gone needs nothing."""
    texts = [(change, read_text(change.file)) for change in changes]
    return all(
        not change.file.parent.exists() if isinstance(text, Missing) else _is_same(change, text)
        for change, text in texts
    )


def _is_same(change: FileChange, text: str) -> bool:
    # Of io.weight only the first line was changed.
    return (text.strip().splitlines() or [""])[0].split() == change.after.split()


@dataclass(slots=True)
class Treated:
    """One remedy's cycles so far, those that count."""

    remedy: Remedy
    metric: Metric = STRETCH
    cycles: list[list[RunBlock]] = field(default_factory=list)

    def pairs(self) -> list[TrialPair]:
        """As many as are independent of one another."""
        return independent(self._figures(), self.metric.better, treated_is_without=True)

    def decide(self, threshold_pct: float, looks: LookPlan, *, by_hand: bool = False) -> Decision:
        """What the pairs so far say, with the p-value of the design."""
        decision = decide(self.pairs(), self.metric.better, threshold_pct, looks, by_hand=by_hand)
        p_value = randomisation_p_value(self._figures())
        return replace(decision, effect=replace(decision.effect, p_value=p_value))

    def carried_over_pct(self) -> float | None:
        """See `carry_over_pct`."""
        return carry_over_pct(self._figures())

    def _figures(self) -> list[list[Block]]:
        return [[block.figures(self.metric) for block in cycle] for cycle in self.cycles]


def run_switchback(
    plan: Plan, slots: Slots, observer: Observer, write: Callable[[TrialResult], None]
) -> tuple[Outcome, list[Treated]]:
    """Run cycles to a verdict on the first remedy, to the most pairs, or until interrupted.

    Each cycle becomes a pair of trials: what its treated slots and its controls are together. `write` keeps each.

    Raises:
        JostleError: See `Slots.cycle`.
    """
    looks = plan_looks(plan.pairs, plan.max_pairs)
    treated = [Treated(remedy, slots.metrics[0]) for remedy in plan.remedies]
    first, trials, failed = treated[0], list[TrialResult](), list[str]()
    decision, partial = None, False
    try:
        observer.phase_started("warm-up", 2 * plan.pairs + plan.warmup)
        pilot = [block for _ in range(plan.warmup) for block in slots.cycle(first.remedy, pilot=True)]
        slots.learn_guard(pilot)
        while len(first.cycles) < plan.max_pairs and (decision is None or decision.verdict == "inconclusive"):
            block = len(first.cycles)
            observer.trial_started(len(trials) + 1, block, ALONE)
            for each in treated:
                cycle = slots.cycle(each.remedy)
                each.cycles.append(cycle)
                if each is first:
                    pair = _trials(cycle, slots, block)
                    trials += pair
                    for trial in pair:
                        write(trial)
                        observer.trial_ended(trial)
            observer.narrowed(slowdown(first.pairs(), first.metric.better, looks.by_hand_alpha))
            if block + 1 in looks.looks:
                decision = first.decide(plan.threshold_pct, looks)
                decided = decision.verdict != "inconclusive"
                observer.looked(decision, block + 1 if decided else looks.next_look(block + 1) or block + 1)
    except (Interrupted, AbortedError) as error:
        if isinstance(error, AbortedError):
            if not first.cycles:
                raise
            failed.append(str(error))
        partial = True
        if first.cycles and (decision is None or len(first.cycles) not in looks.looks):
            decision = first.decide(plan.threshold_pct, looks, by_hand=True)
    return Outcome(tuple(trials), tuple(failed), decision, partial), treated


def _trials(cycle: Sequence[RunBlock], slots: Slots, block: int) -> list[TrialResult]:
    """What a cycle says of the victim without the neighbours (or with them treated), and with them."""
    by_arm = {
        Arm.WITHOUT: [each.slots[each.treated] for each in cycle],
        Arm.WITH: [each.slots[n] for each in cycle for n in each.figures().controls],
    }
    return [_trial(arm, part, slots, block) for arm, part in by_arm.items()]


def _trial(arm: Arm, part: Sequence[Slot], slots: Slots, block: int) -> TrialResult:
    windows = [slot.window for slot in part]
    seen = observe(windows, slots.victim.path, [each.path for each in slots.neighbours])
    if is_idle(seen.victim, seen.duration_s):
        raise JostleError(
            f"the victim {slots.victim.called} ran for {seen.victim.run_ns / NS_PER_MS:.0f} ms "
            f"in {seen.duration_s:.1f} s",
            "give it load",
        )
    values = {metric: sum((slot.amounts[metric] for slot in part), Ratio()).value for metric in slots.metrics}
    if nothing := next((metric for metric, value in values.items() if not 0 < value < math.inf), None):
        raise JostleError(
            f"there was no {nothing.name} in {seen.duration_s:.1f} s {arm} the neighbours",
            "give the victim load",
        )
    samples = tuple(Sample(metric, value) for metric, value in values.items())
    index = 2 * block + (1 if arm is Arm.WITHOUT else 2)
    return TrialResult(index, block, arm, replace(seen, samples=samples), joined(windows), None)


def joined(windows: Sequence[SchedWindow]) -> SchedWindow:
    """Windows, which need not follow one another, as one."""
    whole_ns = sum(window.duration_ns for window in windows)

    def mean(amounts: Iterator[float]) -> float:
        return (
            sum(amount * window.duration_ns for amount, window in zip(amounts, windows, strict=True))
            / whole_ns
        )

    cpus = tuple(
        CpuWindow(
            mean(each.running for each in cpu),
            mean(each.waiting for each in cpu),
            sum(each.switches for each in cpu),
        )
        for cpu in zip(*(window.cpus for window in windows), strict=True)
    )
    return SchedWindow(
        end_ns=windows[-1].end_ns,
        duration_ns=whole_ns,
        cgroups=sched.totals(windows),
        cpus=cpus,
        untracked=max(window.untracked for window in windows),
        impossible=sum(window.impossible for window in windows),
    )


def applied_treatment(treated: Treated, slots: Slots) -> AppliedTreatment:
    """What was done to the neighbours for the verdict."""
    bounds = slots.bounds[treated.remedy]
    return AppliedTreatment(
        kind=treated.remedy.text,
        slots=bounds.slots,
        longest_stop_ms=1000 * bounds.longest_s,
        stopped_pct=bounds.pct,
        guard_ms=1000 * slots.guard_s,
        restored=slots.restored(),
    )


def remedy_effects(
    treated: Sequence[Treated], slots: Slots, threshold_pct: float
) -> tuple[RemedyEffect, ...]:
    """What each remedy gives back, the best first; empty where none but stopping was tried, or nothing was measured."""
    tried = {each.remedy.text: each for each in treated if each.cycles}
    if all(each.remedy.stops for each in tried.values()):
        return ()
    pairs = {text: (each.pairs(), each.metric.better) for text, each in tried.items()}
    effects = secondary_effects(pairs, threshold_pct, ALPHA)
    rows = [_remedy_effect(each, effects[text], slots) for text, each in tried.items()]
    return tuple(sorted(rows, key=lambda row: -row.slowdown_pct))


def _remedy_effect(treated: Treated, effect: EffectEstimate, slots: Slots) -> RemedyEffect:
    blocks = [block for cycle in treated.cycles for block in cycle]
    without = [block.slots[place] for block in blocks for place in block.figures().controls]
    with_ = [block.slots[block.treated] for block in blocks]
    lines = [
        line
        for each in slots.neighbours
        for line in how_to_apply(treated.remedy, each.cgroup, slots.changes_to(treated.remedy, each))
    ]
    return RemedyEffect(
        remedy=treated.remedy.text,
        slowdown_pct=effect.slowdown_pct,
        ci95_pct=effect.ci95_pct,
        pairs=effect.pairs,
        neighbour_cpus_without=slots.neighbours_cpus(without),
        neighbour_cpus_with=slots.neighbours_cpus(with_),
        apply=tuple(dict.fromkeys(lines)),
    )


def write_slots(path: Path, treated: Sequence[Treated]) -> None:
    """Every slot that counts, when it was and what was changed in it, to the millisecond."""
    with path.open("x", encoding="ascii", newline="") as file:
        rows = csv.writer(file)
        first = next((slot.amounts for t in treated for c in t.cycles for b in c for slot in b.slots), None)
        names = [metric.name for metric in first or (STRETCH,)]
        rows.writerow(("remedy", "cycle", "block", "slot", "begin_s", "end_s", "held_ms", *names))
        for each in treated:
            for cycle, blocks in enumerate(each.cycles):
                for number, block in enumerate(blocks):
                    for place, slot in enumerate(block.slots):
                        times = f"{slot.begin_s:.4f}", f"{slot.end_s:.4f}", f"{slot.held_s * 1000:.1f}"
                        values = [f"{amount.value:.5g}" for amount in slot.amounts.values()]
                        rows.writerow((each.remedy.text, cycle, number, place, *times, *values))


@contextlib.contextmanager
def urgent() -> Iterator[None]:
    """Before all others within, so that a slot ends when it is to."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
