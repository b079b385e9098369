"""From what the victim printed to the samples of one trial, and what to hold against those of several."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.documents.metric import Sample
from agent.experiment.victim_metrics.figures import LATENCY_UNIT
from agent.experiment.victim_metrics.reader import MetricNotFoundError, Reader
from agent.experiment.victim_metrics.spec import MetricSpec
from probes.errors import UsageError

EXCERPT_LINES = 3
EXCERPT_CHARACTERS = 200
_ENDINGS = re.compile(r"(?<!\r)\r+\n")  # begun within a row of \r it would take the square of its length


def read_metrics(spec: MetricSpec, stdout: str, stderr: str) -> list[Sample]:
    """The samples of one trial, the primary first.

    Standard output is read first, standard error only if the figure is not there. Of several results the last
    complete one is taken. The list is empty for `duration` alone, whose value the runner measures.

    Raises:
        MetricNotFoundError: Neither stream holds the figure.
        MetricRefusedError: It is not a positive, finite number, or not sure what it means.
        UsageError: A pattern takes too long.
    """
    if spec.reader is None:
        return []
    samples = _parsed(spec.reader, _plain_lines(stdout)) or _parsed(spec.reader, _plain_lines(stderr))
    if not samples:
        message = (
            f"no figure for the metric {spec.text!r}: looked for {spec.reader.looks_for!r} in the victim's "
            f"{_describe('stdout', stdout)} and {_describe('stderr', stderr)}"
        )
        raise MetricNotFoundError(message, "run the victim alone and compare its output with the metric")
    return samples


def _parsed(reader: Reader, text: str) -> list[Sample]:
    samples = reader.parse(text)
    if reader.open_loop is None or reader.open_loop.search(text):
        return samples
    return [replace(each, closed_loop=True) if each.metric.unit == LATENCY_UNIT else each for each in samples]


def _plain_lines(text: str) -> str:
    """Lines that end as Unix has it: of a Windows program's, or of what a pseudo-terminal passed on, `$` finds none."""
    return _ENDINGS.sub("\n", text) if "\r" in text else text


def require_one_unit(known: dict[str, str], samples: Iterable[Sample]) -> None:
    """Hold each metric to the unit of its first trial, which `known` keeps by the metric's name.

    Raises:
        UsageError: A figure comes in another unit, so that the trials cannot be compared.
    """
    for sample in samples:
        name, unit = sample.metric.name, sample.metric.unit
        if (first := known.setdefault(name, unit)) != unit:
            raise UsageError(
                f"the victim prints {name} in {_unit(first)} in one trial and in {_unit(unit)} in another",
                f"name the unit to compare in: --metric '{name}=REGEX:{sample.metric.better}:{unit or first}'",
            )


def failure_counts(
    pairs: Iterable[tuple[Sequence[Sample], Sequence[Sample]]],
) -> dict[str, list[tuple[float, float]]]:
    """Each count of failures, by name, in both trials of each pair; what a tool does not tell of is 0.

    Many tools name an error only where there was one: what stands in one arm alone must not drop out.

    Args:
        pairs: the samples of a trial without the neighbours and of one with them.
    """
    found = [(_failures(without), _failures(with_)) for without, with_ in pairs]
    names = sorted({name for pair in found for side in pair for name in side})
    return {name: [(a.get(name, 0.0), b.get(name, 0.0)) for a, b in found] for name in names}


def more_failures(pairs: Iterable[tuple[Sequence[Sample], Sequence[Sample]]]) -> list[str]:
    """A warning for each count of failures that is larger beside the neighbours than without them.

    A surplus of any size makes the verdict doubtful; how large a one decides is not for here to say.

    Args:
        pairs: the samples of a trial without the neighbours and of one with them.
    """
    totals = {
        name: tuple(map(sum, zip(*counts, strict=True))) for name, counts in failure_counts(pairs).items()
    }
    return [
        f"the victim failed more often beside the neighbours: {name} {without:,.0f} without them, {with_:,.0f} with "
        "them; what fails fast is not fast"
        for name, (without, with_) in totals.items()
        if with_ > without
    ]


def _failures(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in samples if sample.metric.is_failure_count}


def _unit(unit: str) -> str:
    return repr(unit) if unit else "no unit"


def _describe(stream: str, text: str) -> str:
    """How much there was and how it ends, with every control character made visible by `repr`."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return f"{stream} (empty)"
    ending = "\n".join(lines[-EXCERPT_LINES:])[-EXCERPT_CHARACTERS:]
    return f"{stream} (lines: {len(lines)}, the last: {ending!r})"
