"""A figure found by the user's own pattern: made by `parse_spec`, so not in the registry."""

import json
import re
import subprocess
from dataclasses import replace
from functools import partial

from agent.documents.metric import Metric, Sample
from agent.experiment import last_match
from agent.experiment.victim_metrics.figures import checked, refusal
from agent.experiment.victim_metrics.reader import MetricRefusedError, Reader
from agent.experiment.victim_metrics.units import read_number
from probes.errors import UsageError
from probes.isolated import python

# Of elapsed time, where the search gets no CPU to reach its limit of CPU time on.
LONGEST_S = 4.0


def pattern_reader(metric: Metric, pattern: re.Pattern[str]) -> Reader:
    """A reader of `metric` from the one capture group of `pattern`.

    Args:
        metric: if it has a unit, the figure is converted to it; if not, it gets the unit that is printed.
        pattern: compiled with `re.MULTILINE`.
    """
    about = "The last match counts: programs print progress first and the result at the end."
    return Reader(partial(parse, metric, pattern.pattern), pattern.pattern, about)


def parse(metric: Metric, pattern: str, text: str) -> list[Sample]:
    """The figure of the last match, with the unit that follows it.

    Raises:
        MetricRefusedError: It is not a positive number, or not sure what it means.
        UsageError: The pattern takes too long.
    """
    found = search(metric.name, pattern, text) if text else None
    if found is None:
        return []
    start, end = found
    captured = text[start:end]
    begin = start + len(captured) - len(captured.lstrip())
    separators = "".join(each for each in ",: " if f"){each}" in pattern) + " " * (r")\s" in pattern)
    printed = read_number(text, begin, metric.unit or None, separators)
    if printed is None or printed.end < start + len(captured.rstrip()):
        raise _unclear(metric, captured.strip(), _around(text, begin, end))
    return [checked(replace(metric, unit=printed.unit), printed.value, captured.strip())]


def search(name: str, pattern: str, text: str) -> tuple[int, int] | None:
    """Where the group of the last match begins and ends; None if there is no match.

    Raises:
        UsageError: The pattern takes more time or memory than any output is worth.
    """
    try:
        ended = subprocess.run(
            python(last_match.__name__),
            input=json.dumps(pattern).encode() + b"\n" + text.encode("utf-8", "surrogatepass"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_S,
            start_new_session=True,  # Ctrl-C is for jostle to act on
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise UsageError(
            f"the pattern {pattern!r} of the metric {name!r} took more than {last_match.MOST_CPU_S} s or "
            f"{last_match.MOST_MEMORY_BYTES >> 30} GiB on {len(text):,} characters of output",
            "begin it with ^ and avoid repeats within repeats, such as (a+)+",
        ) from error
    span = json.loads(ended.stdout)
    return None if span is None else (span[0], span[1])


def _around(text: str, begin: int, end: int) -> str:
    """The figure with a little of what stands before and behind it on its line."""
    before, behind = text[max(0, begin - 12) : begin], text[begin : end + 12]
    return before.rpartition("\n")[2] + behind.partition("\n")[0]


def _unclear(metric: Metric, captured: str, context: str) -> MetricRefusedError:
    """It is not a number, or not sure what it means: then the remedy is what to write."""
    if not any(map(str.isdigit, captured)):
        return refusal(metric.name, captured, "make the pattern capture a number")
    wanted = f"a number in {metric.unit}" if metric.unit else "a plain number with a unit"
    named = f"and name the unit, such as {metric.name}=REGEX:{metric.better}:ms"
    if metric.unit:  # it was named, and is not what makes it unclear
        named = f"have it printed without separators between its digits, and with a unit like {metric.unit} or none"
    remedy = f"it stands in {context!r}: let the group begin where the number does, {named}"
    return refusal(
        metric.name, captured, remedy, f"not a positive, finite number, or not sure to be {wanted}"
    )
