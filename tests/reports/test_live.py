"""The live table on terminals of every size."""

import unicodedata
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.cells import cell_len
from rich.console import Console

from agent.analysis.top import LastMinute
from agent.documents.blame import Charge, WaitPart
from agent.documents.top import LiveTable, Sort
from reports import live
from reports.live import Room, fitting, live_screen, sparkline
from reports.live_view import View, ViewMode
from tests.agent.analysis.trials import cgroup, window
from tests.reports.samples import API, EVIL, TOP, TOPS

WIDE = Room(200, 24)


def drawn(
    table: LiveTable, view: View | None = None, room: Room = WIDE, minute: LastMinute | None = None
) -> str:
    console = Console(file=StringIO(), width=room.width, height=room.height, legacy_windows=False)
    with console.capture() as capture:
        console.print(live_screen(table, minute or LastMinute(), view or View(), room), end="")
    return capture.get()


def of_width(width: int) -> list[str]:
    return drawn(TOP, room=Room(width, 24)).splitlines()


def test_at_80_columns_every_column_of_the_contract_is_there() -> None:
    lines = of_width(80)
    assert lines[1].split() == [
        "CGROUP",
        "LOT",
        "WANT",
        "GOT",
        "LOST*",
        "BY",
        "OF",
        "p99",
        "PREE/s",
        "THRO/s",
    ]
    assert lines[3].split() == [
        "prod/api-7f/app",
        "suffers",
        "0.86",
        "0.61",
        "0.18",
        "batch…vice",
        "72%",
        "7.9ms",
        "84",
        "41ms",
    ]
    assert "IPC n/a: no hardware PMU" in lines[-1]


def test_a_starved_cgroup_is_called_so() -> None:
    assert of_width(80)[2].split()[:5] == ["/starved", "starved", "1.00", "0.00", "1.00"]


def test_with_counters_there_is_a_column_of_ipc() -> None:
    counted = structs.replace(TOP, cgroups=tuple(structs.replace(row, ipc=1.234) for row in TOP.cgroups))
    lines = drawn(counted, room=Room(100, 24)).splitlines()
    assert "IPC" in lines[1]
    assert "1.23" in lines[2]


def test_what_waits_behind_others_on_devices_has_columns_where_there_is_room() -> None:
    behind = structs.replace(TOP.cgroups[1], disk_behind_ns_per_s=61e6, network_behind_ns_per_s=0.0)
    table = structs.replace(TOP, cgroups=(TOP.cgroups[0], behind, *TOP.cgroups[2:]))
    lines = drawn(table, room=Room(100, 24)).splitlines()
    assert "DISK/s" in lines[1]
    assert "NET/s" not in lines[1]
    assert "61ms" in lines[3]
    assert "DISK/s" not in drawn(table, room=Room(80, 24))
    assert "DISK/s" not in drawn(TOP)


@given(
    st.integers(1, 250),
    st.integers(1, 60),
    st.sampled_from(sorted(TOPS)),
    st.sampled_from(ViewMode),
    st.booleans(),
)
def test_it_fits_every_terminal(width: int, height: int, name: str, mode: ViewMode, paused: bool) -> None:  # noqa: FBT001
    view = View(mode=mode, paused=paused, filter="" if mode is ViewMode.FILTER else "a")
    room = Room(width, height)
    lines = drawn(TOPS[name], view, room).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= max(height, live.AROUND + 1)
    assert all(unicodedata.category(character)[0] != "C" for line in lines for character in line)


@given(st.integers(1, 300), st.sets(st.sampled_from([live.IPC, live.USUAL])))
def test_columns_and_name_fill_no_more_than_the_width(width: int, without: set[live._Column]) -> None:
    columns, name, minute = fitting(width, without=without)
    assert (
        name + sum(live.GAP + column.width for column in columns) + (live.GAP + minute if minute else 0)
        <= width
    )
    assert name >= min(width, live.LEAST_NAME)
    wider, _, wider_minute = fitting(width + 1, without=without)
    assert set(columns) <= set(wider)
    assert bool(minute) <= bool(wider_minute)


def test_the_filter_and_the_first_row_choose_rows() -> None:
    assert "batch.service" not in drawn(TOP, View(filter="STARVED")).splitlines()[2]
    assert "1 of 4 cgroups" in drawn(TOP, View(filter="STARVED"))
    assert drawn(TOP, View(first=2)).splitlines()[2].startswith("batch.service")


def test_what_is_sorted_by_is_marked_and_told() -> None:
    lines = drawn(TOP, View(sort=Sort.P99)).splitlines()
    assert "by p99 of the waits" in lines[0]
    assert "p99*" in lines[1]


def test_pause_and_the_filter_being_typed_are_told() -> None:
    assert "PAUSED" in drawn(TOP, View(paused=True))
    assert "filter: api_" in drawn(TOP, View(mode=ViewMode.FILTER, filter="api"))


def test_a_hostile_name_is_harmless() -> None:
    by = WaitPart(Charge.CGROUP, EVIL, 1.0, 9.0, 1, EVIL)
    hostile = structs.replace(TOP.cgroups[1], name=EVIL, waited_for=by)
    shown = drawn(structs.replace(TOP, cgroups=(hostile,)))
    assert "\x1b" not in shown
    assert "<script>" in shown


@pytest.mark.parametrize(
    ("means", "drawn_as"),
    [
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([None, 0.0], " ▁"),
        ([0.001], "▂"),  # a little is drawn as little, though it is the row's largest
        ([], ""),
    ],
)
def test_sparklines(means: list[float | None], drawn_as: str) -> None:
    assert sparkline(means) == drawn_as


def test_the_last_minute_is_drawn_and_where_there_is_no_unicode_in_ascii() -> None:
    minute = LastMinute()
    for end_s, wait_s in ((30, 1.0), (60, 0.0)):
        waited = window(cgroup(1.0, {"/x": wait_s}, path=API), duration_s=30)
        minute.add(replace(waited, end_ns=end_s * 10**9))
    lines = drawn(TOP, room=Room(200, 24), minute=minute).splitlines()
    assert lines[3].endswith(" ████▁")
    ascii_only = drawn(TOP, room=Room(200, 24, unicode=False), minute=minute).splitlines()[3]
    assert ascii_only.split()[-1].isascii()
