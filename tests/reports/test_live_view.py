"""Keys, and what they change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.top import Sort
from reports.live_view import LONGEST_FILTER, View, ViewMode, keys
from tests.reports.samples import TOP

PAGE, ROWS = 10, 25


def after(sent: bytes, view: View | None = None) -> View:
    view = view or View()
    for key in keys(sent):
        view = view.pressed(key, PAGE, ROWS)
    return view


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[H", ["page-up", "page-down", "home"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[15~q", ["q"]),  # F5 is nothing, and not an Escape with something after it
        (b"\x1b[1;5Cq", ["q"]),
        (b"\x1bOPq", ["q"]),
        ("é🦊".encode(), ["é", "🦊"]),
        (b"\xff", ["\ufffd"]),
        (b"\r\x7f", ["enter", "backspace"]),
    ],
)
def test_what_a_terminal_sends(sent: bytes, found: list[str]) -> None:
    assert list(keys(sent)) == found


@given(st.binary(max_size=40))
def test_any_bytes_are_keys_and_the_view_stays_within_its_bounds(sent: bytes) -> None:
    view = after(sent)
    assert 0 <= view.first <= ROWS - PAGE
    assert len(view.filter) <= LONGEST_FILTER
    assert view.filter.isprintable()


def test_s_goes_through_all_orders_and_back() -> None:
    seen = [after(b"s" * presses).sort for presses in range(len(Sort))]
    assert sorted(seen) == sorted(Sort)
    assert after(b"s" * len(Sort)).sort is View().sort
    assert after(b"sS").sort is View().sort


def test_a_filter_is_typed_kept_and_dropped() -> None:
    assert after(b"/ap") == View(mode=ViewMode.FILTER, filter="ap")
    assert after(b"/apq\x7f\r") == View(filter="ap")
    assert after(b"/ap\x1b") == View()
    assert after(b"/ap\r\x1b") == View()
    assert after(b"/q").mode is ViewMode.FILTER


def test_pause_scroll_and_quit() -> None:
    assert after(b" ").paused
    assert not after(b"  ").paused
    assert after(b"\x1b[B\x1b[B\x1b[A").first == 1
    assert after(b"\x1b[6~").first == PAGE
    assert after(b"\x1b[6~" * 9).first == ROWS - PAGE
    assert after(b"\x1b[6~s").first == 0
    assert after(b"q").mode is ViewMode.QUIT


@pytest.mark.parametrize(
    ("wanted", "shown"), [("", 4), ("API", 1), ("kubepods", 1), ("service", 1), ("nothing", 0)]
)
def test_the_filter_looks_at_names_and_paths(wanted: str, shown: int) -> None:
    assert sum(map(View(filter=wanted).shows, TOP.cgroups)) == shown
