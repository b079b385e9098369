"""How a tool's output is read, and why one trial has no figure: the experiment may discard the trial and go on.

JostleError
└── MetricError                 the trial has no usable figure
    ├── MetricNotFoundError     the victim printed nothing that looks like it
    └── MetricRefusedError      it printed it as zero, negative, nan, inf, not a number or an unclear one
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from agent.documents.metric import Sample
from probes.errors import JostleError


class MetricError(JostleError):
    """A trial whose end-to-end figure cannot be used."""


class MetricNotFoundError(MetricError):
    """No line of the victim's output holds the figure."""


class MetricRefusedError(MetricError):
    """The figure is there, but slowdowns are ratios: only a positive, finite number can be compared."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a tool's output is read.

    Attributes:
        parse: from one output stream to its samples, the primary first; empty if the stream does not hold the
            tool's figure. Of several results it takes the last complete one, and nothing of the others. Raises
            MetricRefusedError, whatever the text; a pattern's reader raises UsageError too.
        looks_for: the line or pattern without which there is no figure, for the message that says so.
        about: what it reads, in one sentence, and what one result is where an output may hold several.
        open_loop: in the output of a load generator that sends at a rate of its own, whatever is answered; None: what
            is read is no load generator, or nobody knows.
    """

    parse: Callable[[str], list[Sample]]
    looks_for: str
    about: str
    open_loop: re.Pattern[str] | None = None


def last_result(text: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    """The last complete result in an output that may hold several, such as a warm-up and a run; "" if there is none.

    Args:
        text: the output.
        start: matches where a result begins. Without a match it begins where the one before it ended.
        end: matches the line that every complete result ends with.
    """
    before, stop = 0, 0
    for match in end.finditer(text):
        before, stop = stop, match.end()
    begin = before
    for match in start.finditer(text, before, stop):
        begin = match.start()
    return text[begin:stop]
