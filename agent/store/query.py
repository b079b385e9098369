"""A part of the agent's history as a recording: for report, blame and compare."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby, islice, pairwise
from pathlib import Path

from agent.documents.event import Episode, Event, Incidents
from agent.documents.times import duration_s, moment
from agent.store.episodes import episodes
from agent.store.flights import flight_span_ns, second_windows, stored_seconds
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.recorded import LISTED_BY, cgroups_in_history
from agent.store.run_file import Notes, Run, pack
from agent.store.windows import Span, ends_utc_ns, events, facts, span_ns, window_spans, windows
from collectors.host.hierarchy import leaf
from collectors.host.resolver import Cgroups, filters, matches, require_matched
from collectors.windows.sched import SchedWindow
from collectors.windows.sums import add_windows
from probes.errors import UsageError

DEFAULT_HISTORY = Path("/var/lib/jostle/history.db")
# Two hours of windows of 10 s. A window of 300 busy cgroups takes 0.4 MB, so what is longer is read as sums.
MOST_WINDOWS = 720
_NS = 10**9
# The first and the last window of a period reach beyond it, or begin late.
_NEARLY_ALL = 0.95
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


@dataclass(frozen=True, slots=True)
class Period:
    """A period from one point in time to another, both in ns since the epoch."""

    since_ns: int
    until_ns: int

    def __post_init__(self) -> None:
        if self.since_ns >= self.until_ns:
            raise UsageError(f"{self} holds no time", "give an earlier --since, or a later --until")

    def __str__(self) -> str:
        return f"{moment(self.since_ns / _NS)} to {moment(self.until_ns / _NS)}"


def moment_ns(text: str, now: datetime) -> int:
    """A point in time, in ns since the epoch: `03:12` (the latest such), `2026-03-01T03:12`, `30m` (ago) or `now`.

    What names no offset is in the host's time zone, and so is `now`, which carries none.

    Raises:
        UsageError: It is none of these.
    """
    try:
        if text == "now":
            found = now
        elif _CLOCK.fullmatch(text):
            hours, minutes, seconds = (int(part) for part in f"{text}:0".split(":")[:3])
            found = now.replace(hour=hours, minute=minutes, second=seconds, microsecond=0)
            found -= timedelta(days=found > now)
        else:
            found = _ago(text, now) or datetime.fromisoformat(text)
        return round(found.timestamp() * _NS)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is not a point in time", "give 03:12, 2026-03-01T03:12, 30m (ago) or now"
        ) from error


def _ago(text: str, now: datetime) -> datetime | None:
    """`30m`; a number alone might be an hour as well. OverflowError: too long ago."""
    if not text[:1].isdecimal() or text[-1].isdecimal():
        return None
    with suppress(ValueError):
        return now - timedelta(seconds=duration_s(text))
    return None


def load_past(path: Path, period: Period, wanted: Sequence[str] = (), *, by_second: bool = False) -> Run:
    """The windows of a history that have a part in a period, with the cgroups that are wanted (all, without any).

    They are named as `resolver.filters` has it.

    More than MOST_WINDOWS are read as sums of several. What was not recorded is in `notes`, and the number of windows
    that a running agent lost in `lost_windows`. `by_second` reads what the flight recorder kept of it, and no windows.

    Raises:
        UsageError: There is no history, it cannot be read, or holds nothing of that period, or nothing in it of
            what is wanted.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no history {path}", "is `jostle agent` running? else give its history.path"
        )
    try:
        with closing(_opened(path)) as db:
            db.execute("BEGIN")  # one state of the file for all queries, while the agent goes on writing
            return _load(db, period, wanted, by_second=by_second)
    except DAMAGE as error:
        raise UsageError(
            f"{path} is not a history, or damaged ({error})", "give the agent's history.path"
        ) from error


def load_incidents(path: Path, period: Period, victim: Sequence[str], aggressor: Sequence[str]) -> Incidents:
    """What the agent told that lasted into a period, of victims and first suspects whose path or name match a glob.

    All, without any.

    Raises:
        UsageError: There is no history, or it cannot be read.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no history {path}", "is `jostle agent` running? else give its history.path"
        )
    try:
        with closing(_opened(path)) as db:
            found = [
                episode
                for episode in _events(db, period, ())
                if _is_meant(victim, _victims(episode.event))
                and _is_meant(aggressor, [(each.cgroup, each.name) for each in episode.event.suspects[:1]])
            ]
    except DAMAGE as error:
        raise UsageError(
            f"{path} is not a history, or damaged ({error})", "give the agent's history.path"
        ) from error
    since, until = (moment(each / _NS) for each in (period.since_ns, period.until_ns))
    return Incidents(since, until, tuple(found))


def _victims(event: Event) -> list[tuple[str, str | None]]:
    return [(event.victim, event.victim_name), *((each.cgroup, each.name) for each in event.victims)]


def _is_meant(globs: Sequence[str], names: Sequence[tuple[str, str | None]]) -> bool:
    """Whether one of these is meant: by its path, by its name, or by the last part of its path."""
    called = {each for path, name in names for each in (path, leaf(path), name) if each}
    return not globs or any(fnmatchcase(each, glob) for each in called for glob in globs)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return open_to_read(path)
    except UsageError as error:
        raise UsageError(f"cannot read the history {path}: {error.message}", error.remedy) from error


def _load(db: sqlite3.Connection, period: Period, wanted: Sequence[str], *, by_second: bool) -> Run:
    between_ns = (period.since_ns, period.until_ns)
    seconds = stored_seconds(db, between_ns) if by_second else []
    spans = [each.span for each in seconds] if by_second else list(window_spans(db, between_ns))
    if not spans:
        what = "no seconds of" if by_second else "nothing of"
        raise UsageError(f"the history holds {what} {period}", _what_it_holds(db, by_second=by_second))
    globs = (
        filters(wanted, cgroups_in_history(db, between_ns, f" in the history from {period}"))
        if wanted
        else ()
    )
    length = -(-len(spans) // MOST_WINDOWS)
    is_wanted = (lambda path: matches(path, globs)) if globs else None
    found = second_windows(db, seconds, is_wanted) if by_second else windows(db, between_ns, is_wanted)
    summed = tuple(_summed(found, length))
    meta = facts(db, [span.recording for span in spans])
    notes = [*Run(meta, (), partial=False).warnings, *_doubts(spans, period)]
    if by_second:
        notes.append("by the second there are the scheduler's figures alone: no disks, no kernel files")
    if length > 1:
        notes.append(f"{length} windows each were added up to one")
    lost = sum(after.lost_before(before) for before, after in pairwise(spans))
    meta |= {"notes": pack(Notes(tuple(notes))), "lost_windows": str(lost)}
    found_events = tuple(_events(db, period, globs))
    seen = {path for window in summed for path in window.cgroups} | {e.event.victim for e in found_events}
    require_matched(globs, Cgroups(seen, place=f" that ran from {period}", listed_by=LISTED_BY))
    return Run(meta=meta, windows=summed, partial=False, events=found_events)


def _events(db: sqlite3.Connection, period: Period, globs: Sequence[str]) -> Iterator[Episode]:
    """What lasted into the period, of the cgroups that match."""
    told = ((recording, _event(text)) for recording, text in events(db))
    for episode in episodes(told, ends_utc_ns(db)):
        meant = not globs or matches(episode.event.victim, globs)
        if meant and episode.event.since_utc_ns < period.until_ns and episode.until_utc_ns > period.since_ns:
            yield episode


def _event(text: str) -> Event:
    try:
        return Event.from_document(json.loads(text))
    except UsageError as error:  # nothing that a user did
        raise ValueError(str(error)) from error


def _summed(found: Iterable[tuple[int, SchedWindow]], length: int) -> Iterator[SchedWindow]:
    """Every `length` windows of one recording as one."""
    for _, group in groupby(found, key=lambda item: item[0]):
        rest = (window for _, window in group)
        while chunk := list(islice(rest, length)):
            yield add_windows(chunk)


def _doubts(spans: Sequence[Span], period: Period) -> Iterator[str]:
    covered_ns = sum(_within(span, period) for span in spans)
    length_ns = period.until_ns - period.since_ns
    if covered_ns < _NEARLY_ALL * length_ns:
        yield f"the windows cover {covered_ns / 60e9:.1f} of the {length_ns / 60e9:.1f} minutes asked for"
    starts = len({span.recording for span in spans})
    if starts > 1:
        yield f"restarts of the agent within it: {starts - 1}; the host is described as after the last"
    if thinned := [span for span in spans if span.sum_of > 1]:
        longest_s = max(span.duration_ns for span in thinned) / _NS
        yield (
            f"{len(thinned)} of the {len(spans)} windows are sums of up to {longest_s:.0f} s: "
            "the history had no room for shorter ones"
        )


def _within(span: Span, period: Period) -> int:
    return max(0, min(span.end_utc_ns, period.until_ns) - max(span.begin_utc_ns, period.since_ns))


def _what_it_holds(db: sqlite3.Connection, *, by_second: bool) -> str:
    if by_second:
        flight = flight_span_ns(db)
        held = f"{moment(flight[0] / _NS)} to {moment(flight[1] / _NS)}" if flight else "none"
        return f"the latest seconds it holds are {held}; `jostle dump` writes those of the last 15 minutes"
    span = span_ns(db)
    return f"it holds {moment(span[0] / _NS)} to {moment(span[1] / _NS)}" if span else "it holds nothing yet"
