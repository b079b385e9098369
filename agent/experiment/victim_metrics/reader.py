"""How a tool's output is read."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.documents.metric import Sample


@dataclass(frozen=True, slots=True)
class Reader:
    """How a tool's output is read.

    Attributes:
        parse: from one output stream to its samples, the primary first; empty if the stream does not hold the
            tool's figure. Raises MetricRefusedError and nothing else, whatever the text.
        looks_for: the line or pattern without which there is no figure, for the message that says so.
    """

    parse: Callable[[str], list[Sample]]
    looks_for: str
