"""What an experiment is asked to do, checked before anything starts."""

import io
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from agent.documents.metric import STRETCH, require_threshold
from agent.experiment.design import WHOLE_PCT
from agent.experiment.victim_metrics import MetricSpec
from agent.sandbox.strays import runs_elsewhere
from collectors.sources.tiers import Tier
from probes.errors import UsageError

# A command whose first word has one of these is not a program to look up: it is left to the shell.
_SHELL_SYNTAX = frozenset("|&;<>()$`*?[#~=%!{")
# What a POSIX shell runs without a program (XCU 2.4, 2.14), as far as a command may begin with it.
_SHELL_WORDS = frozenset(
    {
        *(".", ":", "break", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "read"),
        *("readonly", "set", "shift", "times", "trap", "ulimit", "umask", "unset", "until", "wait", "while"),
        *("alias", "bg", "fc", "fg", "getopts", "hash", "jobs", "type", "unalias"),
    }
)
_COMMENTS = re.compile(r"\A(?:\s*#[^\n]*(?:\n|\Z))*")
_SYNTAX_S = 60.0  # 2 ms; a shell that hangs must not hang this too


# Shorter, and the moment in which the probe is read weighs too much; a quota's period is 0.1 s.
_LEAST_TRIAL_S = 0.2
_MOST_TRIAL_S = 3600.0
# A quota of 1 ms per period of 100 ms, the least there is, on one CPU.
_LEAST_LEVEL_PCT = 1.0


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
        confirm: After interference, stop each suspect alone.
        sweep_pct: Levels to run the neighbours at, in per cent of the CPUs that they may use; empty: no sweep.
        counters: Count hardware events in the trials, where this host can.
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
    confirm: bool = False
    sweep_pct: tuple[float, ...] = ()
    counters: bool = True

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
    if plan.victim_cgroup is None:
        return
    unread = next((spec.text for spec in plan.metrics if spec.text != STRETCH.name), None)
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
            f"the neighbour {plan.neighbour_cgroups[0]} would be frozen for half of the trials",
            "say --allow-freeze if its service can bear that",
        )
    if plan.cpus is not None and plan.victim is None and not plan.neighbours:
        raise UsageError("--cpus pins what jostle starts, which is nothing here", "leave it out")


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


def first_word(command: str) -> str:
    """The program of a shell command, without its directory."""
    word, _rest = _begins(command)
    return os.path.basename(word) if word else command  # noqa: PTH119  text, not a path of this host


def _begins(command: str) -> tuple[str | None, str]:
    """The first word of a shell command, without its quotes, and what follows; None: there is none.

    Only this word is split off: a here-document or a comment further on has other rules.
    """
    begun = _COMMENTS.sub("", command)
    text = io.StringIO(begun)
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        word = lexer.get_token()
    except ValueError:  # a quote within a substitution
        word, *_ = begun.split()
    return word, text.read()


def require_runnable(command: str) -> None:
    """Refuse a command whose program is not there, before anything is started.

    Raises:
        UsageError: It is empty, no shell can read it, or it names a program that is not in PATH.
    """
    program, rest = _begins(command)
    if program is None:
        raise UsageError("a command is empty", "give a program to run")
    # The shell that will run it is the one that knows; -n runs nothing of it.
    read = subprocess.run(
        ["/bin/sh", "-n"], input=os.fsencode(command), capture_output=True, check=False, timeout=_SYNTAX_S
    )
    if read.returncode != 0:
        why = os.fsdecode(read.stderr).strip().partition("yntax error: ")[2] or "syntax error"
        raise UsageError(f"the shell cannot read the command {command!r} ({why})", "check its quotes")
    if _SHELL_SYNTAX & set(program) or program in _SHELL_WORDS or shutil.which(program):
        return
    if rest.lstrip().startswith("("):  # a function is defined
        return
    wrong = "is not a program that can be run" if "/" in program else "is not in PATH"
    raise UsageError(
        f"the command {command!r} cannot run: {program} {wrong}", "check its name, or install it"
    )


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
