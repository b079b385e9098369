"""The overhead budget: what the probe may cost the host, and what it leaves out when it costs more.

Cost is measured, not guessed: the hooks time one in some of their own runs (probes/bpf/timing.h). One window in
`CHECK_EVERY` decides, so that what is left out stays so for a while.
"""

from dataclasses import dataclass, field

from agent.documents.verdict import SelfCost
from agent.recording.self_cost import CostMeter, self_cost
from collectors.sources.tiers import Source
from collectors.windows.sched import NS_PER_S, SchedWindow
from probes.errors import UsageError
from probes.sched_probe import SHEDDING_ORDER

DEFAULT_BUDGET_PCT = 1.0
CHECK_EVERY = 10
# Work is taken up again when the cost is this far below the budget, so that it does not go back and forth.
RESUME_RATIO = 0.5


def require_budget(budget_pct: float) -> float:
    """The budget, in per cent of the host's CPU time.

    Raises:
        UsageError: Not above 0.
    """
    if not 0 < budget_pct <= 100:
        raise UsageError(
            f"--max-overhead {budget_pct:g} is not a share of a host", "give per cent above 0, such as 1"
        )
    return budget_pct


def next_level(level: int, cost_pct: float, budget_pct: float) -> int:
    """How many steps of SHEDDING_ORDER to leave out, after a cost of `cost_pct` with `level` of them left out."""
    if cost_pct > budget_pct:
        return min(level + 1, len(SHEDDING_ORDER))
    if cost_pct < budget_pct * RESUME_RATIO:
        return max(level - 1, 0)
    return level


@dataclass(slots=True)
class Governor:
    """Keeps one probe within its budget.

    Attributes:
        cost: As last measured; None until then, or where the kernel does not account for it.
        warnings: What the data must say, each once.
    """

    probe: Source
    budget_pct: float
    cost: SelfCost | None = None
    warnings: list[str] = field(default_factory=list)
    _level: int = 0

    def measured(self, meter: CostMeter, window: SchedWindow) -> None:
        """Take in one window's cost, and shed or resume work for the next ones."""
        switches = sum(cpu.switches for cpu in window.cpus)
        self.cost = self_cost(meter, switches, window.duration_ns / NS_PER_S, len(window.cpus))
        if self.cost is None or self.cost.cpu_pct is None:
            return
        level = next_level(self._level, self.cost.cpu_pct, self.budget_pct)
        if level > self._level:
            what = SHEDDING_ORDER[level - 1]
            self.warnings.append(
                f"{what} was left out for a time: the probe cost {self.cost.cpu_pct:.2f} % of the host's CPU, "
                f"over its budget of {self.budget_pct:g} %"
            )
        if level != self._level:
            self._level = level
            self.probe.shed(level)
