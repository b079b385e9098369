"""From what the victim printed to the samples of one trial."""

from agent.documents.metric import Sample
from agent.experiment.victim_metrics.errors import MetricNotFoundError
from agent.experiment.victim_metrics.spec import MetricSpec

EXCERPT_LINES = 3
EXCERPT_CHARACTERS = 200


def read_metrics(spec: MetricSpec, stdout: str, stderr: str) -> list[Sample]:
    """The samples of one trial, the primary first.

    Standard output is read first, standard error only if the figure is not there. The list is empty for
    `duration` alone, whose value the runner measures. Raises MetricNotFoundError if neither stream holds the
    figure, and MetricRefusedError if it is no positive, finite number.
    """
    if spec.reader is None:
        return []
    samples = spec.reader.parse(stdout) or spec.reader.parse(stderr)
    if not samples:
        message = (
            f"no figure for the metric {spec.text!r}: looked for {spec.reader.looks_for!r} in the victim's "
            f"{_describe('stdout', stdout)} and {_describe('stderr', stderr)}"
        )
        raise MetricNotFoundError(message, "run the victim alone and compare its output with the metric")
    return samples


def _describe(stream: str, text: str) -> str:
    """How much there was and how it ends, with every control character made visible by `repr`."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return f"{stream} (empty)"
    ending = "\n".join(lines[-EXCERPT_LINES:])[-EXCERPT_CHARACTERS:]
    return f"{stream} (lines: {len(lines)}, the last: {ending!r})"
