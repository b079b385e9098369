"""What report, blame and compare have in common when they ask the agent's history: its options and its periods."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.store.query import DEFAULT_HISTORY, Period, load_past, moment_ns
from agent.store.run_file import Run
from probes.errors import UsageError

HistoryFlag = Annotated[
    bool, typer.Option("--history", help=f"Ask the agent's history, {DEFAULT_HISTORY}.", show_default=False)
]
HistoryFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Ask the history in this file.", show_default=False)
]


def asked(flag: bool, file: Path | None) -> Path | None:  # noqa: FBT001  as the command line gives it
    """Which history is meant; None when none is."""
    return file or (DEFAULT_HISTORY if flag else None)


def between(since: str | None, until: str) -> Period:
    """From `since` until `until`; see `moment_ns`.

    Raises:
        UsageError: One is missing or no point of time, or they are the wrong way round.
    """
    if since is None:
        raise UsageError("--history needs to know since when", "give --since 03:00, 2026-03-01T03:00 or 30m")
    now = _now()
    return Period(moment_ns(since, now), moment_ns(until, now))


def period(text: str) -> Period:
    """`SINCE..UNTIL`. Raises as `between` does."""
    since, dots, until = text.partition("..")
    if not dots:
        raise UsageError(
            f"{text!r} is not a period of the history", "give SINCE..UNTIL, such as 03:00..03:30"
        )
    return between(since, until)


def around(moment: str, seconds: float) -> Period:
    """So many seconds with this moment in their middle. Raises as `between` does."""
    middle_ns, half_ns = moment_ns(moment, _now()), round(seconds * 5e8)
    return Period(middle_ns - half_ns, middle_ns + half_ns)


def load(history: Path, wanted: Period, globs: Sequence[str] | None = None) -> Run:
    """The period as a recording; see `load_past`."""
    return load_past(history, wanted, globs or ())


def _now() -> datetime:
    return datetime.now().astimezone().replace(tzinfo=None)
