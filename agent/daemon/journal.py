"""Events as lines of JSON on a stream: one line each, ASCII alone, with a level where the journal reads it.

A cgroup's name is hostile text: in JSON's ASCII form no character of it can end the line, move the terminal's
cursor, or be no character at all.
"""

from typing import IO, TypeVar

from msgspec.structs import replace

from agent.daemon.config import Config
from agent.daemon.notify import INFO, NOTICE, WARNING, is_journal
from agent.daemon.sinks import Observation
from agent.documents.event import Event, EventCause, EventState, Suspect, VictimCost
from agent.documents.strict_json import strict_json

# The journal breaks lines of 48 KiB (LineMax, journald.conf(5)). A character takes up to 12 bytes in JSON, and an
# event has up to a dozen texts that hold a name.
_LONGEST_NAME = 300
Who = TypeVar("Who", Suspect, VictimCost)


class Journal:
    """A sink that tells events and nothing else."""

    name = "journal"

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._leveled = is_journal(stream)

    def on_window(self, observation: Observation) -> tuple[Event, ...]:  # noqa: ARG002  windows are for the history
        """Do nothing: only events are written to the journal."""
        return ()

    def on_event(self, event: Event) -> None:
        """Print it at once. Raises OSError when nobody reads any more."""
        self._stream.write(f"{level(event) if self._leveled else ''}{line(event)}\n")
        self._stream.flush()

    def reload(self, config: Config) -> None:
        """Do nothing: the journal has no settings."""

    def close(self) -> None:
        """Do nothing: the stream belongs to the caller."""


def level(event: Event) -> str:
    """A warning when a neighbour is to blame, a notice for what the victim can fix, info for the end of either."""
    if event.state is EventState.CLEARED:
        return INFO
    return WARNING if event.cause is EventCause.NEIGHBOURS else NOTICE


def line(event: Event) -> str:
    """The event's document as one line, with names of at most _LONGEST_NAME characters."""
    short = replace(
        event,
        victim=shortened(event.victim),
        victim_name=None if event.victim_name is None else shortened(event.victim_name),
        suspects=tuple(_short(each) for each in event.suspects),
        victims=tuple(_short(each) for each in event.victims),
        findings=tuple(replace(each, text=shortened(each.text)) for each in event.findings),
    )
    return strict_json(short.to_document())


def _short(who: Who) -> Who:
    return replace(who, cgroup=shortened(who.cgroup), name=None if who.name is None else shortened(who.name))


def shortened(text: str) -> str:
    """A text without its middle where it is too long: a path's beginning and end tell most."""
    if len(text) <= _LONGEST_NAME:
        return text
    half = _LONGEST_NAME // 2 - 1
    return f"{text[:half]}…{text[-half:]}"
