"""What report, blame and compare have in common when they ask the agent's history: its options and its periods."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.analysis.top import usual_losses
from agent.documents.top import NO_HISTORY, Usual
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.query import DEFAULT_HISTORY, Period, load_past, moment_ns
from agent.store.run_file import Run
from agent.store.windows import count_windows, windows
from probes.errors import UsageError

# A window of 300 cgroups takes some 4 ms to read.
_MOST_READ, _DAY_NS = 100, 86_400 * 10**9

BySecond = Annotated[
    bool,
    typer.Option("--seconds", help="By the second, of what the flight recorder kept.", show_default=False),
]
Usuals = tuple[Mapping[str, Usual], str]
"""What each cgroup usually loses, where that is known, and what that is from."""

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


def load(
    history: Path, wanted: Period, globs: Sequence[str] | None = None, *, by_second: bool = False
) -> Run:
    """The period as a recording; see `load_past`."""
    return load_past(history, wanted, globs or (), by_second=by_second)


def usual(file: Path | None) -> Usuals:
    """What each cgroup lost in the last day of a history (None: this host's), and a sentence on what that is from.

    Raises:
        UsageError: A file was given, and cannot be read.
    """
    if file is None and not DEFAULT_HISTORY.is_file():
        return {}, NO_HISTORY
    until_ns = time.time_ns()
    day = (until_ns - _DAY_NS, until_ns)
    try:
        with closing(open_to_read(file or DEFAULT_HISTORY)) as db:
            count = count_windows(db, day)
            every = -(-count // _MOST_READ) or 1
            found = usual_losses(window for _, window in windows(db, day, every=every))
    except (OSError, UsageError, *DAMAGE) as error:
        if file is not None:
            raise UsageError(
                f"cannot read the history {file}: {error}", "give the agent's history.path"
            ) from error
        return {}, f"the history of this host cannot be read: {error}"
    return found, f"the last day of this host's history ({-(-count // every)} of its {count} windows)"


def _now() -> datetime:
    return datetime.now().astimezone().replace(tzinfo=None)
