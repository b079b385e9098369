"""Events as sentences: the golden files have their words; here is how many."""

import pytest

from reports.sections.events import MOST_EVENTS, event_listing
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
