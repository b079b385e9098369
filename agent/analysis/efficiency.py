"""What the victim got out of its time on the CPUs: by its instructions where a PMU counts them, else by its work."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from agent.analysis.terms import NS_PER_S, work_of
from agent.analysis.trials import TrialResult
from agent.documents.metric import STRETCH
from agent.documents.verdict_parts import Efficiency
from collectors.host.readings import Missing
from collectors.sources import counting
from collectors.windows import counters
from collectors.windows.figures import CounterFigures, add_counts

Number = TypeVar("Number", int, float)
Blocks = Sequence[tuple[TrialResult, TrialResult]]
BY_INSTRUCTIONS, BY_WORK = "cycles per instruction", "CPU time per unit of work"


def efficiency(blocks: Blocks) -> Efficiency | None:
    """Both arms, over all blocks; None where there is neither a counter nor a unit of work."""
    without, with_ = zip(*blocks, strict=True)
    before, after = counted(without), counted(with_)
    has_work = blocks[0][0].samples[0].metric != STRETCH
    ipc = number(before.ipc), number(after.ipc)
    if None in ipc and not has_work:
        return None
    return Efficiency(
        measure=BY_WORK if None in ipc else BY_INSTRUCTIONS,
        cpu_s_without=cpu_s(without) if has_work else None,
        cpu_s_with=cpu_s(with_) if has_work else None,
        ipc_without=ipc[0],
        ipc_with=ipc[1],
        llc_misses_without=number(before.llc_misses),
        llc_misses_with=number(after.llc_misses),
    )


def cpu_s(trials: Sequence[TrialResult]) -> float:
    """Time of the victim's tasks on a CPU, per unit of its work."""
    return sum(trial.victim.run_ns for trial in trials) / NS_PER_S / sum(map(work_of, trials))


def counted(trials: Iterable[TrialResult]) -> CounterFigures:
    """What the victim's counters amount to over these trials."""
    return counters.figures(add_counts(trial.counted for trial in trials))


def cpi_growth(without: TrialResult, with_: TrialResult) -> float | None:
    """The cycles that an instruction took with the neighbours over those without; None where they were not counted."""
    before, after = (number(counted([trial]).ipc) for trial in (without, with_))
    return before / after if before and after else None


def pmu(blocks: Blocks) -> str:
    """Whether hardware events were counted in the trials, and if not, why."""
    figures = [counted(arm) for arm in zip(*blocks, strict=True)]
    missing = next((each.ipc for each in figures if isinstance(each.ipc, Missing)), None)
    if missing is None:
        return "available"
    refusal = counting.refusal_of_ipc()
    return f"unavailable: {refusal.reason if refusal else missing.reason}"


def number(figure: Number | Missing) -> Number | None:
    """The figure, None where it is missing."""
    return None if isinstance(figure, Missing) else figure
