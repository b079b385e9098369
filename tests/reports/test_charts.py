"""What charts draw, where it is more than the figures they are given."""

from math import isnan

from agent.documents.summary import Moment
from reports.charts.run import steps
from reports.charts.waits import occupied


def test_a_time_line_is_interrupted_where_nothing_was_recorded() -> None:
    corners = list(steps((Moment(0, 1), Moment(1.01, 2), Moment(9, 10)), (3, 4, 5)))
    assert corners[:4] == [(0, 3), (1, 3), (1.01, 4), (2, 4)]
    assert corners[4][0] == 9
    assert isnan(corners[4][1])
    assert corners[5:] == [(9, 5), (10, 5)]


def test_empty_buckets_around_all_waits_are_left_out() -> None:
    assert occupied([(0, 0, 1, 0, 0), (0, 0, 0, 2, 0)]) == range(2, 4)
    assert occupied([(0, 0)]) == range(2)
