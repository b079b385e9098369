"""A part of the agent's history as a recording: for report, blame and compare."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice, pairwise
from pathlib import Path

from agent.documents.event import Episode, Event
from agent.documents.times import duration_s, moment
from agent.store.episodes import episodes
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.recorded import LISTED_BY, cgroups_in_history
from agent.store.run_file import Notes, Run, pack
from agent.store.windows import count_windows, ends_utc_ns, events, facts, span_ns, windows
from collectors.host.resolver import Cgroups, filters, matches, require_matched
from collectors.windows.sched import CpuWindow, SchedWindow, totals
from collectors.windows.signals import add_signals
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


def load_past(path: Path, period: Period, wanted: Sequence[str] = ()) -> Run:
    """The windows of a history that have a part in a period, with the cgroups that are wanted (all, without any).

    They are named as `resolver.filters` has it.

    More than MOST_WINDOWS are read as sums of several. What was not recorded is in `notes`, and the number of windows
    that a running agent lost in `lost_windows`.

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
            return _load(db, period, wanted)
    except DAMAGE as error:
        raise UsageError(
            f"{path} is not a history, or damaged ({error})", "give the agent's history.path"
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return open_to_read(path)
    except UsageError as error:
        raise UsageError(f"cannot read the history {path}: {error.message}", error.remedy) from error


def _load(db: sqlite3.Connection, period: Period, wanted: Sequence[str]) -> Run:
    between_ns = (period.since_ns, period.until_ns)
    count = count_windows(db, between_ns)
    if not count:
        raise UsageError(f"the history holds nothing of {period}", _what_it_holds(db))
    globs = (
        filters(wanted, cgroups_in_history(db, between_ns, f" in the history from {period}"))
        if wanted
        else ()
    )
    length = -(-count // MOST_WINDOWS)
    found = windows(db, between_ns, (lambda path: matches(path, globs)) if globs else None)
    spans: list[_Span] = []
    summed = tuple(_summed(found, length, spans))
    meta = facts(db, [span.recording for span in spans])
    notes = [*Run(meta, (), partial=False).warnings, *_doubts(spans, period)]
    if length > 1:
        notes.append(f"{length} windows each were added up to one")
    meta |= {"notes": pack(Notes(tuple(notes))), "lost_windows": str(sum(map(_lost, pairwise(spans))))}
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


@dataclass(frozen=True, slots=True)
class _Span:
    """Which time one window covers, and in which of the agent's lives."""

    recording: int
    begin_ns: int
    end_ns: int


def _summed(
    found: Iterable[tuple[int, SchedWindow]], length: int, spans: list[_Span]
) -> Iterator[SchedWindow]:
    """Every `length` windows of one recording as one; notes down in `spans` what there was."""
    for recording, group in groupby(found, key=lambda item: item[0]):
        rest = (window for _, window in group)
        while chunk := list(islice(rest, length)):
            spans += [_Span(recording, each.end_ns - each.duration_ns, each.end_ns) for each in chunk]
            yield add_windows(chunk)


def add_windows(parts: Sequence[SchedWindow]) -> SchedWindow:
    """Windows that follow one another as one. At least one."""
    if len(parts) == 1:
        return parts[0]
    return SchedWindow(
        end_ns=parts[-1].end_ns,
        duration_ns=sum(part.duration_ns for part in parts),
        cgroups=totals(parts),
        cpus=tuple(_mean_cpu(cpu, parts) for cpu in range(min(len(part.cpus) for part in parts))),
        untracked=max(part.untracked for part in parts),
        impossible=sum(part.impossible for part in parts),
        shed=tuple(dict.fromkeys(name for part in parts for name in part.shed)),
        signals=add_signals(read) if (read := [part.signals for part in parts if part.signals]) else None,
    )


def _mean_cpu(cpu: int, parts: Sequence[SchedWindow]) -> CpuWindow:
    """Means over time are weighted by it: windows are not all of one length."""
    duration_ns = sum(part.duration_ns for part in parts)
    return CpuWindow(
        running=sum(part.cpus[cpu].running * part.duration_ns for part in parts) / duration_ns,
        waiting=sum(part.cpus[cpu].waiting * part.duration_ns for part in parts) / duration_ns,
        switches=sum(part.cpus[cpu].switches for part in parts),
    )


def _lost(pair: tuple[_Span, _Span]) -> int:
    """Windows missing between two of one recording: read, but not stored, or not read at all."""
    before, after = pair
    missing = (after.begin_ns - before.end_ns) / (after.end_ns - after.begin_ns)
    return max(0, round(missing)) if before.recording == after.recording else 0


def _doubts(spans: Sequence[_Span], period: Period) -> Iterator[str]:
    covered_ns = sum(_within(span, period) for span in spans)
    length_ns = period.until_ns - period.since_ns
    if covered_ns < _NEARLY_ALL * length_ns:
        yield f"the windows cover {covered_ns / 60e9:.1f} of the {length_ns / 60e9:.1f} minutes asked for"
    starts = len({span.recording for span in spans})
    if starts > 1:
        yield f"restarts of the agent within it: {starts - 1}; the host is described as after the last"


def _within(span: _Span, period: Period) -> int:
    return max(0, min(span.end_ns, period.until_ns) - max(span.begin_ns, period.since_ns))


def _what_it_holds(db: sqlite3.Connection) -> str:
    span = span_ns(db)
    return f"it holds {moment(span[0] / _NS)} to {moment(span[1] / _NS)}" if span else "it holds nothing yet"
