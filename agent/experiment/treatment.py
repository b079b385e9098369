"""What runs beside the victim in one trial."""

from dataclasses import dataclass

from agent.documents.verdict_parts import Arm
from collectors.host.hierarchy import leaf

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
            return f"with all but {leaf(self.stopped)}"
        level = f" at {self.level_pct:g} %" if self.is_capped else ""

        return f"{self.arm} the neighbours{level}"


ALONE = Treatment(Arm.WITHOUT)
BESIDE_ALL = Treatment(Arm.WITH)
