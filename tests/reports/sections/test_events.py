"""Events as sentences: the golden files have their words; here is how many."""

import pytest
from msgspec.structs import replace

from agent.documents.event import Episode, EventCause, Incidents, Suspect
from agent.documents.tasks import TaskShare
from reports.sections.events import MOST_EVENTS, event_listing, incidents_report
from reports.sections.model import Table
from tests.reports.episodes import EPISODES


@pytest.mark.parametrize(
    ("events", "last"),
    [
        (MOST_EVENTS, None),
        (MOST_EVENTS + 1, "1 event more; the JSON form of this report has all."),
        (MOST_EVENTS + 1200, "1,200 events more; the JSON form of this report has all."),
    ],
)
def test_of_many_the_first_are_told_and_how_many_more_there_are(events: int, last: str | None) -> None:
    items = event_listing(EPISODES[:1] * events).items
    assert len(items) == MOST_EVENTS + (last is not None)
    assert last is None or items[-1] == last
    assert items[0].startswith(EPISODES[0].since)


@pytest.mark.parametrize(
    ("suspects", "cause", "behind"),
    [
        (
            (Suspect("/", 88.0, within=(TaskShare("spin", 7, 1, 3.1, 97.0),)),),
            EventCause.NEIGHBOURS,
            "/: spin",
        ),
        ((Suspect("/etl", 88.0, name="etl.service"),), EventCause.NEIGHBOURS, "etl.service"),
        ((), EventCause.THROTTLED, "a quota"),
        ((), EventCause.UNKNOWN, "not known"),
    ],
)
def test_a_row_says_in_words_behind_whom_it_was(
    suspects: tuple[Suspect, ...], cause: EventCause, behind: str
) -> None:
    event = replace(EPISODES[0].event, suspects=suspects, cause=cause)
    found = Incidents("then", "now", (Episode("2026-05-28T20:26:20+00:00", 130.0, over=True, event=event),))
    (table,) = incidents_report(found).sections
    assert isinstance(table, Table)
    headings = [column.heading for column in table.columns]
    assert table.rows[0][headings.index("Behind")] == behind
