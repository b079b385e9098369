"""The charts of an experiment or a comparison."""

from collections.abc import Iterable
from math import nan

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent.documents.metric import Better, change_pct, tells_nothing
from agent.documents.verdict import Cause, Effect, Verdict
from agent.documents.verdict_parts import Arm, Blame, Confirmation, Pair, SweepPoint, Trial, WaitMatrix
from reports.charts.canvas import (
    INK,
    LONGEST_NAME,
    MUTED,
    PAPER,
    RULE,
    WITH,
    WITHOUT,
    chart,
    legend,
    name_rows,
    named_bars,
    rows_height_pt,
)
from reports.charts.waits import arms_chart, matrix_chart
from reports.escape import shortened
from reports.figures import change, counted, percent, quantity
from reports.sections.evidence import judged

MOST_BARS = 12
NS_PER_S = 1e9
AXIS = "trial, in the order they ran"
MARKS = (
    ("without", "o", PAPER, WITHOUT),
    ("with neighbours", "s", WITH, WITH),
    ("void", "x", MUTED, MUTED),
)
FILLS = (("running", "", PAPER), ("waiting", "///", WITH), ("throttled", "xxx", PAPER))


def charts(verdict: Verdict) -> dict[str, str]:
    """The charts that there are figures for, by the title of the section that each stands above."""
    drawn = {}
    if verdict.causes:
        drawn["Where the additional time went"] = cause_chart(verdict.causes)
    if verdict.confirmed:
        drawn["Each suspect stopped alone"] = confirmation_chart(verdict.confirmed, judged(verdict.effect)[1])
    if verdict.sweep:
        drawn["Slowdown by intensity of the neighbours"] = sweep_chart(
            verdict.sweep, judged(verdict.effect)[1]
        )
    if verdict.pairs and verdict.effect is not None:
        drawn["Pairs of trials"] = pair_chart(verdict.pairs, verdict.effect)
    if verdict.blame:
        drawn["Whom the victim waited for"] = blame_chart(verdict.blame)
    if verdict.matrix is not None and verdict.matrix.waited_for:
        drawn["Who waited for whom"] = _matrix_chart(verdict.matrix)
    if verdict.histograms is not None:
        drawn["Waits for a CPU, by length"] = arms_chart(verdict.histograms)
    if verdict.trials and verdict.effect is not None:
        values = trial_chart(verdict.trials, verdict.effect.metric, verdict.effect.unit)
        drawn["Trials"] = f"{values}\n{time_chart(verdict.trials)}"
    return drawn


def _matrix_chart(matrix: WaitMatrix) -> str:
    waits_ms = matrix.wait_ms_per_trial
    return matrix_chart(matrix.waiting, matrix.waited_for, waits_ms, quantity, "Milliseconds per trial.")


def cause_chart(causes: tuple[Cause, ...]) -> str:
    """Each cause's share of the additional time, with its interval."""

    def draw(axes: Axes) -> None:
        shares_pct = [cause.share_pct for cause in causes]
        named_bars(axes, [cause.cause for cause in causes], shares_pct, list(map(percent, shares_pct)))
        for row, cause in enumerate(causes):
            low, high = cause.ci95_pct or (cause.share_pct, cause.share_pct)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5, marker="|", markersize=7)
        axes.set(xlabel="share of the additional time (%)")

    first = max(causes, key=lambda cause: cause.share_pct)
    largest = f"The largest is {first.cause} with {percent(first.share_pct)}."
    return chart(draw, rows_height_pt(len(causes)), "causes", "Where the additional time went", largest)


def confirmation_chart(confirmed: tuple[Confirmation, ...], better: Better = "lower") -> str:
    """Each suspect's own effect, with its interval."""

    def draw(axes: Axes) -> None:
        for row, entry in enumerate(confirmed):
            low, high = _bounds(entry)
            axes.plot(
                _drawn([low, high], better), [row, row], color=INK, linewidth=1.5, marker="|", markersize=8
            )
            axes.plot(_drawn([entry.slowdown_pct], better), [row], "o", color=WITH, markersize=6)
        figures = [change(entry.slowdown_pct, better) for entry in confirmed]
        name_rows(axes, [entry.name for entry in confirmed], figures)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel=f"{_axis(better)}, ended by stopping it alone")

    described = f"{counted(len(confirmed), 'suspect')}, each with its 95 % interval."
    return chart(draw, rows_height_pt(len(confirmed)), "confirmed", "Each suspect stopped alone", described)


def sweep_chart(sweep: tuple[SweepPoint, ...], better: Better = "lower") -> str:
    """The slowdown at each level with its interval, and the rising curve."""

    def draw(axes: Axes) -> None:
        for point in sweep:
            low, high = _bounds(point)
            ends = _drawn([low, high], better)
            axes.plot([point.level_pct] * 2, ends, color=INK, linewidth=1.2, marker="_", markersize=7)
        levels_pct = [point.level_pct for point in sweep]
        slowdowns_pct = _drawn([point.slowdown_pct for point in sweep], better)
        axes.plot(levels_pct, slowdowns_pct, "o", color=INK, markersize=5, label="measured")
        curve = {point.level_pct: point.fitted_pct for point in sweep if point.fitted_pct is not None}
        if curve:
            fitted = _drawn(curve.values(), better)
            axes.plot(list(curve), fitted, color=WITH, linewidth=1.8, label="nearest curve")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="intensity of the neighbours (%)", ylabel=_axis(better))
        axes.grid(axis="y")
        legend(axes, columns=2)

    described = f"{counted(len(sweep), 'level')} of intensity, with 95 % intervals."
    return chart(draw, 250, "sweep", "Slowdown by intensity of the neighbours", described)


def pair_chart(pairs: tuple[Pair, ...], effect: Effect) -> str:
    """Each pair around the estimate, its interval, the threshold and the noise floor."""

    def draw(axes: Axes) -> None:
        _draw_bounds(axes, effect)
        blocks = [pair.block for pair in pairs]
        slowdowns_pct = _drawn([pair.slowdown_pct for pair in pairs], effect.better)
        axes.plot(blocks, slowdowns_pct, "o", color=INK, markersize=5, label="one pair")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="block, in the order they ran", ylabel=_axis(effect.better))
        legend(axes, columns=3)

    best = (
        "" if effect.slowdown_pct is None else f", estimated at {change(effect.slowdown_pct, effect.better)}"
    )
    described = f"{counted(len(pairs), 'pair')}{best}."
    return chart(draw, 250, "pairs", f"{judged(effect)[0]} in each pair of trials", described)


def _bounds(entry: Confirmation | SweepPoint) -> tuple[float, float]:
    """Its interval; the figure alone where there is none, or where it would flatten all others to a line."""
    if entry.ci95_pct is None or tells_nothing(entry.ci95_pct):
        return entry.slowdown_pct, entry.slowdown_pct
    return entry.ci95_pct[0], entry.ci95_pct[1]


def _axis(better: Better) -> str:
    return "slowdown (%)" if better == "lower" else "change (%)"


def _drawn(slowdowns_pct: Iterable[float], better: Better) -> list[float]:
    """Heights on that axis; a gap where a figure has no end."""
    changes = (change_pct(pct, better) for pct in slowdowns_pct)
    return [nan if pct is None else pct for pct in changes]


def _draw_bounds(axes: Axes, effect: Effect) -> None:
    told = effect.ci95_pct is None or not tells_nothing(effect.ci95_pct)  # else the pairs were a line at 0
    if effect.noise_floor_pct is not None and told:
        floor = _drawn([-effect.noise_floor_pct, effect.noise_floor_pct], effect.better)
        axes.axhspan(*floor, color=RULE, label="noise floor")
    if effect.ci95_pct is not None and told:
        axes.axhspan(*_drawn(effect.ci95_pct, effect.better), color=WITH, alpha=0.18, label="95 % interval")
    if effect.slowdown_pct is not None:
        (estimate,) = _drawn([effect.slowdown_pct], effect.better)
        axes.axhline(estimate, color=WITH, linewidth=1.5, label="estimate")
    (threshold,) = _drawn([effect.threshold_pct], effect.better)
    axes.axhline(threshold, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="threshold")
    axes.axhline(0, color=MUTED, linewidth=0.8)


def blame_chart(blame: tuple[Blame, ...]) -> str:
    """How long the victim waited for each cgroup in a mean trial: the first MOST_BARS; the table has all."""
    shown = blame[:MOST_BARS]

    def draw(axes: Axes) -> None:
        waits_ms = [entry.wait_ms_per_trial for entry in shown]
        figures = [quantity(wait_ms, "ms") for wait_ms in waits_ms]
        named_bars(axes, [entry.name for entry in shown], waits_ms, figures)
        axes.set(xlabel="wait per trial (ms)")

    described = f"{len(shown)} of {len(blame)} cgroups, the longest wait first."
    return chart(draw, rows_height_pt(len(shown)), "blame", "Whom the victim waited for", described)


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
        axes.set_ylim(bottom=0)  # no value is below, and heights are compared
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
