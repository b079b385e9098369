"""The end-to-end figure of a victim's trial: what its owner would call fast or slow.

`parse_spec` turns the text of `--metric` into a `MetricSpec`, `read_metrics` turns what the victim printed
into `Sample`s, the primary one first. Nothing here starts a process, reads a clock or compares two trials.
"""

from agent.documents.metric import DURATION, STRETCH, Better, Metric, Sample
from agent.experiment.victim_metrics.read import failure_counts, more_failures, read_metrics, require_one_unit
from agent.experiment.victim_metrics.reader import MetricError, MetricNotFoundError, MetricRefusedError
from agent.experiment.victim_metrics.spec import MetricSpec, parse_spec

__all__ = [
    "DURATION",
    "STRETCH",
    "Better",
    "Metric",
    "MetricError",
    "MetricNotFoundError",
    "MetricRefusedError",
    "MetricSpec",
    "Sample",
    "failure_counts",
    "more_failures",
    "parse_spec",
    "read_metrics",
    "require_one_unit",
]
