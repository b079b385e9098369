"""The text of `--metric`, and what it means."""

import re
import warnings
from dataclasses import dataclass, field

from agent.documents.metric import DURATION, STRETCH, Metric
from agent.experiment.victim_metrics.live import LiveFigure, parse_live
from agent.experiment.victim_metrics.reader import Reader
from agent.experiment.victim_metrics.readers import READERS
from agent.experiment.victim_metrics.readers.pattern import pattern_reader
from agent.experiment.victim_metrics.units import UNIT
from probes.errors import UsageError

_MEASURED = (DURATION.name, STRETCH.name)

_BETTER = ("lower", "higher")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_ALLOWED = f"use {', '.join((*_MEASURED, *READERS))}, or NAME=REGEX:lower|higher[:UNIT]"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What `--metric` asked for.

    Attributes:
        text: as given; it alone tells two specs apart.
        reader: how the victim's output is read; None for `duration`, the trial's wall time, and `stretch`, which
            the runner measures.
        live: how a victim that runs on is read; None for all others.
    """

    text: str
    reader: Reader | None = field(compare=False, repr=False)
    live: LiveFigure | None = field(default=None, compare=False, repr=False)


def parse_spec(text: str) -> MetricSpec:
    """The meaning of `duration`, `stretch`, a named reader, or `NAME=REGEX:lower|higher[:UNIT]`.

    REGEX is Python's, has one capture group around a number, and may itself hold `=` and `:`. `^` and `$`
    match at the ends of lines, and the last match counts. What follows the number is part of it; with a UNIT it is
    converted, and numbers may have thousands separators, a decimal comma or a multiple such as `k`.

    Raises:
        UsageError: It is none of these.
    """
    if text in _MEASURED:
        return MetricSpec(text, None)
    if text in READERS:
        return MetricSpec(text, READERS[text])
    if (live := parse_live(text)) is not None:
        return MetricSpec(text, None, live)
    if "=" not in text:
        raise UsageError(f"unknown metric {text!r}", _ALLOWED)
    name, _, rest = text.partition("=")
    pattern, better, unit = _parts(rest)
    return MetricSpec(text, pattern_reader(_metric(name, better, unit), _compile(name, pattern)))


def _parts(rest: str) -> tuple[str, str, str | None]:
    """The pattern, what is better, and the unit if one is named."""
    pattern, _, last = rest.rpartition(":")
    before, _, better = pattern.rpartition(":")
    if last not in _BETTER and better in _BETTER:
        return before, better, last
    return pattern, last, None


def _metric(name: str, better: str, unit: str | None) -> Metric:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for a metric", "use letters, digits, '_', '.' and '-' only")
    if name in _MEASURED or name in READERS:
        raise UsageError(f"the metric {name!r} is built in", "give the pattern's metric another name")
    if unit is not None and not UNIT.fullmatch(unit):
        raise UsageError(f"{unit!r} is not a unit", "use one such as ms, s, MB/s, % or req/s")
    if better == "lower":
        return Metric(name, unit or "", "lower")
    if better == "higher":
        return Metric(name, unit or "", "higher")
    raise UsageError(
        f"the metric {name!r} does not say what is better",
        "end it in :lower or :higher, and a unit if you like",
    )


def _compile(name: str, text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # Python warns of patterns that a later version may read differently: nothing to act on here.
            warnings.simplefilter("ignore")
            pattern = re.compile(text, re.MULTILINE)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        message = f"the pattern {text!r} of the metric {name!r} is not a regular expression ({error})"
        raise UsageError(message, "put a backslash before every character that is meant literally") from error
    if pattern.groups != 1:
        message = f"the pattern {text!r} of the metric {name!r} has {pattern.groups} capture groups"
        raise UsageError(message, "put ( ) around the number and (?: ) around anything else")
    return pattern
