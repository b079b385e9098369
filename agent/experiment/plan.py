"""What an experiment is asked to do, checked before anything starts."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.documents.metric import STRETCH, require_threshold
from agent.experiment.design import WHOLE_PCT
from agent.experiment.victim_metrics import MetricSpec
from agent.sandbox.shell_line import first_word, require_runnable
from agent.sandbox.strays import runs_elsewhere
from agent.sandbox.treatments import STOP, Remedy
from collectors.sources.tiers import Tier
from probes.errors import UsageError

_LIMIT = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*([<>])\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*")
Confirm = Literal["auto", "always", "never"]


# Shorter, and the moment in which the probe is read weighs too much; a quota's period is 0.1 s.
_LEAST_TRIAL_S = 0.2
_MOST_TRIAL_S = 3600.0
# Shorter, a slot is mostly its guard; longer, and a lease of 2 s may come between.
_LEAST_STOP_MS, _MOST_STOP_MS = 25.0, 1000.0
_LEAST_STOPPED_PCT, _MOST_STOPPED_PCT = 1.0, 25.0
# A quota of 1 ms per period of 100 ms, the least there is, on one CPU.
_LEAST_LEVEL_PCT = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """`METRIC > X` or `METRIC < X`."""

    metric: str
    above: bool
    value: float

    def is_met(self, value: float) -> bool:
        """Whether a figure is beyond it."""
        return value > self.value if self.above else value < self.value

    def __str__(self) -> str:
        return f"{self.metric} {'>' if self.above else '<'} {self.value:g}"


def parse_limit(text: str) -> Limit:
    """The limit that a text such as `probe > 50` means.

    Raises:
        UsageError: It is none.
    """
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise UsageError(f"--abort-if {text!r} is not a limit", "write it like 'probe > 50'")
    return Limit(found[1], found[2] == ">", float(found[3]))


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment.

    Attributes:
        victim: Shell command, run once per trial; None: `victim_cgroup` is watched instead.
        neighbours: Shell commands, running throughout the trials with neighbours.
        metrics: What is read from the victim, the primary first.
        pairs: Pairs of trials to begin with.
        max_pairs: The most pairs to run while undecided.
        seed: Of the order within the blocks.
        threshold_pct: The smallest slowdown that matters.
        timeout_s: How long one run of the victim may take.
        cpus: CPUs that victim and neighbours are pinned to; None: all.
        tier: How waits are measured.
        victim_cgroup: Path of an existing cgroup, watched for `trial_s` in each trial.
        neighbour_cgroups: Paths of existing cgroups, frozen in the trials without neighbours.
        allow_freeze: Cgroups that jostle has not made may be frozen.
        trial_s: How long a victim's cgroup is watched in each trial.
        confirm: After interference, stop each suspect alone; `auto`: where nobody of several was seen.
        sweep_pct: Levels to run the neighbours at, in per cent of the CPUs that they may use; empty: no sweep.
        counters: Count hardware events in the trials, where this host can.
        prepare: Shell command, run before each trial.
        cleanup: Shell command, run after each trial.
        cpu_cost: What a CPU costs a year, in the user's currency.
        instances: How many of the victim there are, for what its slowdown costs.
        warmup: How many runs of the victim come first and do not count.
        slots: Where all are cgroups that exist: treat the neighbours in short slots, not for whole trials.
        remedies: What to do to them in those slots, the first for the verdict.
        max_stop_ms: The longest that a neighbour may stand still at a time.
        max_stopped_pct: The most of the time that it may stand still, in per cent.
        abort_if: What a figure of the victim must not become, in short slots.
    """

    victim: str | None
    neighbours: tuple[str, ...]
    metrics: tuple[MetricSpec, ...]
    pairs: int
    max_pairs: int
    seed: int
    threshold_pct: float
    timeout_s: float
    cpus: tuple[int, ...] | None
    tier: Tier = "ebpf"
    victim_cgroup: str | None = None
    neighbour_cgroups: tuple[str, ...] = ()
    allow_freeze: bool = False
    trial_s: float = 5.0
    confirm: Confirm = "never"
    sweep_pct: tuple[float, ...] = ()
    counters: bool = True
    prepare: str | None = None
    cleanup: str | None = None
    warmup: int = 1
    cpu_cost: float | None = None
    instances: int = 1
    slots: bool = False
    remedies: tuple[Remedy, ...] = (Remedy(STOP),)
    max_stop_ms: float = 200.0
    max_stopped_pct: float = 20.0
    abort_if: Limit | None = None

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise UsageError(
                f"--pairs {self.pairs}: no pair, no comparison", "ask for at least 1, better 4 to 8"
            )
        if self.max_pairs < self.pairs:
            raise UsageError(f"--max-pairs {self.max_pairs} is below --pairs {self.pairs}", "ask for more")
        require_threshold(self.threshold_pct)
        if not self.timeout_s > 0:
            raise UsageError(f"--timeout {self.timeout_s} leaves no time to run", "give seconds above 0")
        if not _LEAST_TRIAL_S <= self.trial_s <= _MOST_TRIAL_S:
            raise UsageError(
                f"--trial-seconds {self.trial_s:g} is not a length for a trial",
                f"give {_LEAST_TRIAL_S:g} to {_MOST_TRIAL_S:g}",
            )
        _require_distinct([metric.text.partition("=")[0] for metric in self.metrics])
        _require_victim(self)
        _require_neighbours(self)
        _require_levels(self.sweep_pct)
        _require_bounds(self)
        if self.warmup < 1:
            raise UsageError(
                f"--warmup {self.warmup}: what jostle itself costs is measured in it", "give 1 or more"
            )
        if self.cpu_cost is not None and not 0 < self.cpu_cost < math.inf:
            raise UsageError(f"--cpu-cost {self.cpu_cost:g} is no price", "give what a CPU costs a year")
        if self.instances < 1:
            raise UsageError(f"--instances {self.instances}: there is one at least", "give 1 or more")
        for command in (text for text in (self.prepare, self.cleanup) if text is not None):
            require_runnable(command)
        for command in (*([self.victim] if self.victim is not None else []), *self.neighbours):
            require_runnable(command)
            _require_here(command)

    @property
    def victim_text(self) -> str:
        """What the victim is: its command line or its cgroup."""
        return self.victim if self.victim is not None else str(self.victim_cgroup)


def _require_victim(plan: Plan) -> None:
    if (plan.victim is None) == (plan.victim_cgroup is None):
        what = "an experiment needs a victim" if plan.victim is None else "an experiment has one victim"
        raise UsageError(what, "give either --victim CMD or --victim-cgroup PATH")
    live = next((spec.text for spec in plan.metrics if spec.live), None)
    if live is not None and not plan.slots:
        raise UsageError(
            f"the metric {live!r} is read in short slots of a victim that runs on",
            "give --victim-cgroup and --neighbour-cgroup, and no --trial-seconds, --confirm or --sweep",
        )
    if plan.victim_cgroup is None:
        return
    unread = next((spec.text for spec in plan.metrics if spec.text != STRETCH.name and not spec.live), None)
    if unread is not None:
        raise UsageError(
            f"the metric {unread!r} cannot be read of a cgroup that is watched: it prints nothing for jostle",
            f"leave out --metric (it is {STRETCH.name}), or run a client of it as --victim CMD",
        )


def _require_neighbours(plan: Plan) -> None:
    if not plan.neighbours and not plan.neighbour_cgroups:
        raise UsageError("an experiment needs a neighbour", "give --neighbour CMD or --neighbour-cgroup PATH")
    if plan.neighbour_cgroups and not plan.allow_freeze:
        raise UsageError(
            f"the neighbour {plan.neighbour_cgroups[0]} would be frozen "
            + (f"for moments of {plan.max_stop_ms:g} ms" if plan.slots else "for half of the trials"),
            "say --allow-freeze if its service can bear that",
        )
    if plan.cpus is not None and plan.victim is None and not plan.neighbours:
        raise UsageError("--cpus pins what jostle starts, which is nothing here", "leave it out")


def _require_bounds(plan: Plan) -> None:
    if not plan.slots and (plan.abort_if or any(not remedy.stops for remedy in plan.remedies)):
        raise UsageError(
            f"{'--abort-if' if plan.abort_if else '--remedy'} is for short slots of cgroups that run already",
            "give --victim-cgroup and --neighbour-cgroup, and no --trial-seconds, --confirm or --sweep",
        )
    if len(set(plan.remedies)) < len(plan.remedies):
        raise UsageError("--remedy: one is given twice", "name each once")
    if not _LEAST_STOP_MS <= plan.max_stop_ms <= _MOST_STOP_MS:
        raise UsageError(
            f"--max-stop-ms {plan.max_stop_ms:g} is not a length for a stop",
            f"give {_LEAST_STOP_MS:g} to {_MOST_STOP_MS:g}",
        )
    if not _LEAST_STOPPED_PCT <= plan.max_stopped_pct <= _MOST_STOPPED_PCT:
        raise UsageError(
            f"--max-stopped-pct {plan.max_stopped_pct:g} is not a share of the time",
            f"give {_LEAST_STOPPED_PCT:g} to {_MOST_STOPPED_PCT:g}",
        )


def _require_here(command: str) -> None:
    if runs_elsewhere(command):
        raise UsageError(
            f"{first_word(command)} has its work done in another cgroup, where no trial can count or end it",
            "start that beforehand and name it by --victim-cgroup or --neighbour-cgroup, or run its program itself",
        )


def _require_levels(levels_pct: Sequence[float]) -> None:
    for level_pct in levels_pct:
        if level_pct != 0 and not _LEAST_LEVEL_PCT <= level_pct <= WHOLE_PCT:
            raise UsageError(
                f"--sweep: {level_pct:g} is not a level in per cent",
                f"give 0, or {_LEAST_LEVEL_PCT:g} to {WHOLE_PCT:g}",
            )
        if levels_pct.count(level_pct) > 1:
            raise UsageError(f"--sweep: the level {level_pct:g} is given twice", "name each once")
    if levels_pct and not any(levels_pct):
        raise UsageError("--sweep: there is no level above 0", "write it like 0,25,50,75,100")


def parse_levels(text: str) -> tuple[float, ...]:
    """The levels of a list such as `0,25,50,75,100`, ascending.

    Raises:
        UsageError: A value in it is not a number.
    """
    try:
        return tuple(sorted(float(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(
            f"--sweep {text!r} is not a list of levels", "write it like 0,25,50,75,100"
        ) from None


def neighbour_name(number: int, command: str) -> str:
    """`neighbour-N WORD`, as the contract has it: N from 1, WORD the first of its command."""
    return f"neighbour-{number} {first_word(command)}"


def parse_cpus(text: str) -> tuple[int, ...]:
    """CPU numbers of a list such as `0,2-3`, all of them online for this process.

    Raises:
        UsageError: Not such a list, or a CPU that is not there.
    """
    allowed = os.sched_getaffinity(0)
    try:
        cpus = sorted({cpu for part in text.split(",") for cpu in _span(part, max(allowed))})
    except ValueError:
        raise UsageError(f"--cpus {text!r} is not a list of CPUs", "write it like 0,2-3") from None
    absent = [cpu for cpu in cpus if cpu not in allowed]
    if absent:
        raise UsageError(
            f"--cpus {text!r}: there is no CPU {absent[0]} here", f"choose from {_list(allowed)}"
        )
    return tuple(cpus)


def _span(part: str, last: int) -> range:
    """The CPUs of `2` or `2-3`, those beyond the last there is as one of them. ValueError: it is neither."""
    low, dash, high = part.partition("-")
    first, end = int(low), int(high if dash else low)
    if not 0 <= first <= end:
        raise ValueError
    return range(first, min(end, max(first, last + 1)) + 1)


def _list(cpus: set[int]) -> str:
    return ",".join(map(str, sorted(cpus)))


def _require_distinct(names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"the metric {twice!r} is asked for twice", "give each its own name")
