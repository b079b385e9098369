"""The charts of an experiment or a comparison."""

from agent.documents.verdict import Verdict
from agent.documents.verdict_parts import WaitMatrix
from reports.charts.blame import blame_chart
from reports.charts.causes import cause_chart
from reports.charts.confirmation import confirmation_chart
from reports.charts.matrix import matrix_chart
from reports.charts.pairs import pair_chart
from reports.charts.sweep import sweep_chart
from reports.charts.trials import time_chart, trial_chart
from reports.charts.waits import arms_chart
from reports.figures import quantity


def charts(verdict: Verdict) -> dict[str, str]:
    """Those there are figures for, by the title of the section they belong above."""
    drawn = {}
    if verdict.causes:
        drawn["Where the additional time went"] = cause_chart(verdict.causes)
    if verdict.confirmed:
        drawn["Each suspect stopped alone"] = confirmation_chart(verdict.confirmed)
    if verdict.sweep:
        drawn["Slowdown by intensity of the neighbours"] = sweep_chart(verdict.sweep)
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
