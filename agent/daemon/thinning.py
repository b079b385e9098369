"""Old windows as sums: where the history has no room for all of them, minutes take the place of the oldest, then 5.

What is added up lies within one span by the clock, of one life of the agent, with nothing lost in between: so no figure
changes of any period that begins and ends with such a span, and what was lost stays lost. A fleet's rows are of such
spans as well (`agent.fleet.schema.BUCKET_S`).
"""

import sqlite3

from agent.daemon.condense import condensed
from agent.documents.times import span_of
from agent.store.packing import DAMAGE
from agent.store.windows import Span, read_windows, replace_by_sum, window_spans
from collectors.windows.sums import add_windows

MINUTE_S, FIVE_MINUTES_S = 60, 300
LEVELS = ((FIVE_MINUTES_S, 1 / 7), (MINUTE_S, 1 / 56))
"""How long windows may become that are older than this part of the greatest age: of 14 days 2 days, and 6 hours."""
# A window of 300 busy cgroups takes 0.4 MB while it is added up.
MOST_AT_ONCE = 6
# Windows of other lengths stay apart: how many were lost between two is told by the mean length after them.
_MOST_LONGER = 1.5
_NS = 10**9


class Thinner:
    """Thins one history, the oldest windows first, by one sum at a time."""

    def __init__(self) -> None:
        self._done = dict.fromkeys((length_s for length_s, _ in LEVELS), 0)  # up to these numbers

    def thin(self, db: sqlite3.Connection, now_ns: int, max_age_ns: int) -> bool:
        """Whether there were windows to add up; the caller's is the transaction."""
        for length_s, part in LEVELS:
            until_ns = now_ns - round(max_age_ns * part)
            while len(group := self._oldest(db, length_s, until_ns)) > 1:
                try:
                    replace_by_sum(db, group, condensed(add_windows(list(read_windows(db, group)))))
                except sqlite3.Error:
                    raise
                except DAMAGE:
                    self._done[length_s] = group[-1].number  # it is of no use, and will go by its age
                else:
                    return True
        return False

    def _oldest(self, db: sqlite3.Connection, length_s: int, until_ns: int) -> list[Span]:
        """The oldest windows that may be one: all of a span, or MOST_AT_ONCE of it; at most one where none may."""
        group: list[Span] = []
        for span in window_spans(db, after=self._done[length_s]):
            if (span_of(span.end_utc_ns, length_s) + length_s) * _NS > until_ns or len(group) == MOST_AT_ONCE:
                break
            if group and not _may_be_one(group[-1], span, length_s):
                if len(group) > 1:
                    break
                self._done[length_s] = group[-1].number
                group = []
            group.append(span)
        return group


def _may_be_one(before: Span, after: Span, length_s: int) -> bool:
    shorter_ns, longer_ns = sorted((before.duration_ns / before.sum_of, after.duration_ns / after.sum_of))
    return (
        before.recording == after.recording
        and span_of(before.end_utc_ns, length_s) == span_of(after.end_utc_ns, length_s)
        and before.end_utc_ns < after.end_utc_ns
        and longer_ns <= _MOST_LONGER * shorter_ns
        and not after.lost_before(before)
    )
