"""A figure found by the user's own pattern: made by `parse_spec`, so not in the registry."""

import re
from functools import partial

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics.figures import required
from agent.experiment.victim_metrics.reader import Reader


def pattern_reader(metric: Metric, pattern: re.Pattern[str]) -> Reader:
    """A reader of `metric` from the one capture group of `pattern`."""
    return Reader(partial(parse, metric, pattern), pattern.pattern)


def parse(metric: Metric, pattern: re.Pattern[str], text: str) -> list[Sample]:
    """The last match counts: programs print progress first and the result at the end."""
    last = None
    for match in pattern.finditer(text):
        last = match[1] if match[1] is not None else last
    return [] if last is None else [required(metric, last.strip())]
