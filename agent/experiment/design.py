"""What runs beside the victim in one trial, and in which order several such treatments are tried.

What `--confirm` and `--sweep` are made of: randomised rounds, each of which runs every one of several treatments once,
so that any two of them make a pair. The order within a round is drawn from the experiment's seed; every second round
runs the order of the one before backwards, so that over two rounds no treatment is earlier than another.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from agent.documents.verdict_parts import Arm
from collectors.host.workloads import name_by_path

WHOLE_PCT = 100.0


@dataclass(frozen=True, slots=True)
class Treatment:
    """The neighbours of one trial.

    Attributes:
        arm: With the neighbours, or without any of them.
        stopped: The cgroup path of one suspect that is stopped all the same, in a trial with the neighbours.
        level_pct: How much of the CPUs that they may use the neighbours get; 100 takes nothing from them.
    """

    arm: Arm
    stopped: str | None = None
    level_pct: float = WHOLE_PCT

    @property
    def stem(self) -> str:
        """A part for the names of the trial's files."""
        if self.stopped is not None:
            return "stopped"
        return f"level-{self.level_pct:g}" if self.is_capped else str(self.arm)

    @property
    def is_capped(self) -> bool:
        """Whether the neighbours run under a quota."""
        return self.arm is Arm.WITH and self.level_pct < WHOLE_PCT

    def __str__(self) -> str:
        if self.stopped is not None:
            return f"with all but {name_by_path(self.stopped)}"
        level = f" at {self.level_pct:g} %" if self.is_capped else ""
        return f"{self.arm} the neighbours{level}"


ALONE = Treatment(Arm.WITHOUT)
BESIDE_ALL = Treatment(Arm.WITH)


def stopped(suspect: str) -> Treatment:
    """The treatment in which one suspect alone does not run."""
    return Treatment(Arm.WITH, stopped=suspect)


def at_level(level_pct: float) -> Treatment:
    """The neighbours under a quota; at level 0 there are none."""
    return Treatment(Arm.WITH, level_pct=level_pct) if level_pct else ALONE


@dataclass(frozen=True, slots=True)
class Design:
    """What is to be run.

    Attributes:
        what: It in words, for the progress.
        treatments: What each round runs, in an order of its own.
        rounds: How many.
        seed: Of the orders.
    """

    what: str
    treatments: tuple[Treatment, ...]
    rounds: int
    seed: str


def pauses(design: Design) -> Iterator[float]:
    """How long to rest before each round, in lengths of a trial: rounds in step with a wave of the host fool nobody."""
    uniform = random.Random(f"{design.seed} pauses").random  # noqa: S311  as below
    yield from (uniform() for _ in range(design.rounds))


def orders(design: Design) -> Iterator[list[Treatment]]:
    """The order of each round. Of the generator only `random()` is used, which never changes between versions."""
    uniform = random.Random(design.seed).random  # noqa: S311  a randomised design, not a secret
    order: list[Treatment] = []
    for number in range(design.rounds):
        order = order[::-1] if number % 2 else sorted(design.treatments, key=lambda _: uniform())
        yield order
