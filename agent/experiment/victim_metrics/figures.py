"""Numbers as benchmark tools print them, turned into samples of one base unit.

Throughput is in operations per second, bandwidth in MiB/s, latency in ms, whatever multiple the tool chose.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.reader import MetricRefusedError
from agent.statistics.tails import percent_of, quantile

NO_UNIT: Mapping[str, float] = {"": 1.0}
ERRORS = Metric("errors", "errors", "lower", is_failure_count=True)
"""What every tool's reader calls the operations that failed."""
LATENCY_UNIT = "ms"
PERCENTILES = (50.0, 95.0, 99.0, 99.9)
SHOWN_CHARACTERS = 40
NAME_CHARACTERS = 60

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"\d(?:[\d.,'’_\u00a0\u202f]*\d)?", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def scaled(printed: str, units: Mapping[str, float] = NO_UNIT) -> float | None:
    """A number followed by one of `units`, times that unit's factor: "1.5k" with {"k": 1000} is 1500.

    None for anything else: nan, inf, an unknown unit, a number too large for a float.
    """
    number = _NUMBER.match(printed)
    factor = units.get(printed[number.end() :]) if number else None
    if number is None or factor is None:
        return None
    value = float(number[0]) * factor
    return value if math.isfinite(value) else None


def required(metric: Metric, printed: str, units: Mapping[str, float] = NO_UNIT) -> Sample:
    """The sample of a figure that a trial cannot do without. Raises MetricRefusedError unless positive."""
    return checked(metric, scaled(printed, units), printed)


def checked(metric: Metric, value: float | None, printed: str) -> Sample:
    """The sample of a value computed from what was printed. Raises MetricRefusedError unless positive."""
    if value is None or not math.isfinite(value) or value <= 0:
        raise refusal(metric.name, printed, "make the trial longer, or choose another metric")
    return Sample(metric, value, printed_step(printed, value))


def printed_step(printed: str, value: float) -> float | None:
    """The place of the last digit of a number as printed, in the unit of the value that was made of it.

    1.50 s is known to 0.01 s, and so it is where it was made 1,500 ms of: the digits, without separators, count the
    steps. None where there are no digits.
    """
    digits = _DIGITS.search(printed[:SHOWN_CHARACTERS])
    steps = int(re.sub(r"\D", "", digits[0], flags=re.ASCII)) if digits else 0
    return value / steps if steps else None


def refusal(
    name: str, printed: str, remedy: str, why: str = "not a positive, finite number"
) -> MetricRefusedError:
    """The error for a figure that was printed and cannot be used."""
    shown = repr(printed[:SHOWN_CHARACTERS])
    return MetricRefusedError(f"the victim printed {name} as {shown}, which is {why}", remedy)


def optional(metric: Metric, printed: str | None, units: Mapping[str, float] = NO_UNIT) -> list[Sample]:
    """No sample rather than a wrong one: a latency printed as 0.00 is below the tool's resolution."""
    value = None if printed is None else scaled(printed, units)
    found = if_positive(metric, value)
    return [replace(each, printed_step=printed_step(printed or "", each.value)) for each in found]


def if_positive(metric: Metric, value: float | None) -> list[Sample]:
    """The sample of a value computed from what was printed; none unless it is finite and above 0."""
    return [Sample(metric, value)] if value is not None and math.isfinite(value) and value > 0 else []


def failures(printed: Iterable[str], metric: Metric = ERRORS) -> list[Sample]:
    """The sum of counts of failures as printed, 0 of none; no sample where one of them cannot be read."""
    counts = [scaled(text) for text in printed]
    known = [count for count in counts if count is not None and count >= 0]
    total = sum(known)
    return [Sample(metric, total)] if len(known) == len(counts) and math.isfinite(total) else []


def latency(name: str) -> Metric:
    """A latency's metric: in ms, lower is better."""
    return Metric(name, LATENCY_UNIT, "lower")


def from_counts(
    prefix: str, printed: Iterable[Sample], counts: Sequence[tuple[float, float]]
) -> list[Sample]:
    """The latencies with the histogram that they are of, ascending in ms, and the percentiles that were not printed.

    `prefix` is that of their names, such as `latency_`. As they are where there is no histogram.
    """
    found = list(printed)
    kept = tuple((value, count) for value, count in counts if count > 0 and math.isfinite(value))
    if not kept:
        return found
    names = {sample.metric.name for sample in found}
    told = [(f"{prefix}p{percent:g}", quantile(kept, percent)) for percent in PERCENTILES]
    found += [each for name, value in told if name not in names for each in if_positive(latency(name), value)]
    return [
        replace(each, counts=kept) if percent_of(each.metric.name) is not None else each for each in found
    ]


def percentile_name(percent: str) -> str:
    """What a percentile is called here, from how the tool prints it: "99.00" and "99" are p99."""
    return f"p{float(percent):g}"


def distinct_names(texts: Iterable[str]) -> list[str]:
    """Names fit for `Metric.name` from texts that the victim chose; the second of two equal ones gets -2."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for text in texts:
        name = base = _NOT_IN_NAMES.sub("-", text).strip("-")[:NAME_CHARACTERS] or "unnamed"
        while seen[name]:
            seen[base] += 1
            name = f"{base}-{seen[base]}"
        seen[name] += 1
        names.append(name)
    return names
