"""The trials in the order they ran: what was measured, and what the victim did in each."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent.documents.verdict_parts import Arm, Trial
from reports.charts.canvas import LONGEST_NAME, chart, legend
from reports.escape import shortened
from reports.svg import INK, MUTED, PAPER, RULE, WITH, WITHOUT

NS_PER_S = 1e9
AXIS = "trial, in the order they ran"
MARKS = (
    ("without", "o", PAPER, WITHOUT),
    ("with neighbours", "s", WITH, WITH),
    ("void", "x", MUTED, MUTED),
)
FILLS = (("running", "", PAPER), ("waiting", "///", WITH), ("throttled", "xxx", PAPER))


def trial_chart(trials: tuple[Trial, ...], metric: str, unit: str) -> str:
    """The primary metric of each: circles without, squares with, crosses void."""

    def draw(axes: Axes) -> None:
        for kind, marker, face, edge in MARKS:
            chosen = [trial for trial in trials if _kind(trial) == kind and metric in trial.metrics]
            if chosen:
                values = [trial.metrics[metric] for trial in chosen]
                places = [trial.index for trial in chosen]
                (dots,) = axes.plot(places, values, marker, markeredgewidth=1.5, label=kind)
                dots.set(markerfacecolor=face, markeredgecolor=edge)
        measured = shortened(f"{metric} ({unit})" if unit else metric, LONGEST_NAME)
        axes.set(xlabel=AXIS, ylabel=measured)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        legend(axes, columns=3)

    described = f"{len(trials)} trials; the shape tells the arm."
    return chart(draw, 240, "trials", "Every trial in order", described)


def time_chart(trials: tuple[Trial, ...]) -> str:
    """The victim's task time in each: running, waiting, on a quota; those with neighbours shaded."""

    def draw(axes: Axes) -> None:
        _shade_with(axes, trials)
        floor_s = [0.0] * len(trials)
        for kind, hatch, face in FILLS:
            spent_s = [_spent_ns(trial)[kind] / NS_PER_S for trial in trials]
            if kind != "throttled" or any(spent_s):
                bars = axes.bar([trial.index for trial in trials], spent_s, 0.7, floor_s, label=kind)
                for bar in bars:
                    bar.set(hatch=hatch, facecolor=face, edgecolor=INK, linewidth=0.6)
            floor_s = [low + height for low, height in zip(floor_s, spent_s, strict=True)]
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=AXIS, ylabel="task time (s)")
        legend(axes, columns=4)

    described = f"{len(trials)} trials: task time running, waiting and throttled."
    return chart(draw, 240, "times", "What the victim did in each trial", described)


def _shade_with(axes: Axes, trials: tuple[Trial, ...]) -> None:
    label: str | None = "with neighbours"
    for trial in trials:
        if trial.arm is Arm.WITH:
            begin, end = trial.index - 0.5, trial.index + 0.5
            axes.axvspan(begin, end, color=RULE, alpha=0.6, linewidth=0, label=label)
            label = None


def _kind(trial: Trial) -> str:
    if trial.void is not None:
        return "void"
    return "with neighbours" if trial.arm is Arm.WITH else "without"


def _spent_ns(trial: Trial) -> dict[str, float]:
    throttled_ns = trial.throttled_ns or 0
    waiting_ns = max(0, (trial.wait_ns or 0) - throttled_ns)
    return {"running": trial.run_ns or 0, "waiting": waiting_ns, "throttled": throttled_ns}
