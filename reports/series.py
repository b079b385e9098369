"""One line per verdict, for a series over months: CSV with a header, as Apache Otava's importer reads it."""

import csv
import io
import re

from agent.documents.verdict import Verdict
from reports.figures import as_shown

HEADER = "time,title,verdict,metric,without,with,slowdown_pct,low_pct,high_pct,mean_slowdown_pct,pairs\n"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@")


def render(verdict: Verdict) -> str:
    """The verdict's line; a figure that there is not is left empty."""
    shown = as_shown(verdict)
    effect, done = shown.effect, shown.experiment
    low, high = effect.ci95_pct or (None, None) if effect else (None, None)
    words = [done.started if done else "", shown.title or "", shown.verdict, effect.metric if effect else ""]
    figures: tuple[float | None, ...] = (None,) * 7
    if effect:
        mean_pct = effect.mean.slowdown_pct if effect.mean else None
        figures = (effect.without, effect.with_, effect.slowdown_pct, low, high, mean_pct, effect.pairs)
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([*map(_cell, words), *figures])
    return line.getvalue()


def _cell(text: str) -> str:
    plain = _CONTROLS.sub(" ", text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
