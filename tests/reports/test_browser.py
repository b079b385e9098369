"""The HTML report in a real browser."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.documents.fleet import FleetAnswer, FleetAnswers, FleetCell, FleetCoverage
from reports import html
from reports.escape import for_terminal
from tests.agent.analysis.summaries import BY_MOMENT, DETAILS, SUMMARY
from tests.reports.browser import Page, blank_page
from tests.reports.samples import EVIL, HOSTILE, INTERFERENCE, RUNS

CHARTS = """[...document.querySelectorAll("svg[role=img]")].map(svg => {
  const box = svg.getBoundingClientRect();
  return [svg.querySelector("title").textContent, box.width > 100 && box.height > 50 && box.right <= innerWidth];
})"""
HIDDEN = """[...document.querySelectorAll("td, dd, h1, h2, li")].filter(
  e => e.textContent.trim() && !e.getClientRects().length).length"""
BEYOND = """[...document.querySelectorAll("td, th, svg, dd, p")].filter(
  e => e.getBoundingClientRect().right > innerWidth).map(e => e.textContent)"""
PHONE = (390, 844)
PAPER = (703, 1032)  # A4 without its margins


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("browser")
    (directory / "report.html").write_text(html.render_verdict(INTERFERENCE))
    with blank_page(directory / "profile") as page:
        page.open(directory / "report.html")
        yield page


def test_it_asks_for_nothing_and_nothing_fails(opened: Page) -> None:
    assert [Path(url).name for url in opened.requests] == ["report.html"]
    assert opened.errors == []


def test_verdict_suspects_and_all_charts_are_seen(opened: Page) -> None:
    assert opened.evaluate("document.querySelector('h1').innerText") == "Interference"
    text = opened.evaluate("document.body.innerText")
    assert INTERFERENCE.reason.replace(" %", "\u00a0%") in text
    assert all(suspect.name in text and suspect.cgroup in text for suspect in INTERFERENCE.aggressors)
    charts = dict(opened.evaluate(CHARTS))
    assert len(charts) == 9
    assert [title for title, seen in charts.items() if not seen] == []
    assert opened.evaluate(HIDDEN) == 0


def test_on_a_phone_nothing_is_wider_than_the_page(opened: Page) -> None:
    opened.resize(*PHONE)
    try:
        assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert all(seen for _, seen in opened.evaluate(CHARTS))
        assert opened.evaluate(HIDDEN) == 0
    finally:
        opened.call("Emulation.clearDeviceMetricsOverride")


def test_it_can_be_printed(opened: Page) -> None:
    assert base64.b64decode(opened.call("Page.printToPDF")["data"]).startswith(b"%PDF")


def test_a_recording_shows_its_charts_at_any_width_and_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html.render_run(SUMMARY))
    with blank_page(tmp_path / "profile") as page:
        page.open(tmp_path / "report.html")
        assert (len(page.requests), page.errors) == (1, [])
        for width in (1280, PHONE[0]):
            page.resize(width, PHONE[1])
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert [seen for _, seen in page.evaluate(CHARTS)] == [True, True, True]
            assert page.evaluate(HIDDEN) == 0


CHOOSE = """(number) => {
  const select = document.getElementById("explore-cgroup");
  select.value = number;
  select.dispatchEvent(new Event("change"));
}"""
FOUND = """[...document.querySelectorAll(".explore tbody tr")].map(
  row => [...row.cells].map(cell => cell.textContent))"""
BY_TABLE = """[...document.querySelectorAll("section")].find(
  section => section.querySelector("h2").textContent === "Who waited for whom").querySelectorAll("tbody tr")"""
CLOCK = """[...document.querySelectorAll(".explore text")].map(text => text.textContent).filter(
  text => /^\\d\\d:\\d\\d:\\d\\d/.test(text))"""
AREA = "document.querySelector('.explore .waiting').getAttribute('d')"
DRAG = """(from, to, events) => {
  const svg = document.querySelector(".explore svg"), box = svg.getBoundingClientRect();
  return [box.left + 44 + from * (box.width - 56), box.left + 44 + to * (box.width - 56), box.top + 40];
}"""


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("explored")
    summary = replace(RUNS["run-events"], details=replace(DETAILS, by_moment=BY_MOMENT))
    (directory / "report.html").write_text(html.render_run(summary))
    with blank_page(directory / "profile") as page:
        page.open(directory / "report.html")
        page.resize(1280, 900)
        yield page


def drag(page: Page, begin: float, end: float) -> None:
    """With the mouse over this part of the chart."""
    page.evaluate("document.querySelector('.explore').scrollIntoView()")
    left, right, top = page.evaluate(f"({DRAG})({begin}, {end})")
    for kind, x in (("mousePressed", left), ("mouseMoved", right), ("mouseReleased", right)):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=top, button="left", buttons=1, clickCount=1)


def press(page: Page, key: str) -> None:
    page.evaluate("document.querySelector('.explore svg').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")


def test_a_chosen_cgroup_waited_for_whom_the_table_says(explored: Page) -> None:
    explored.evaluate(f"({CHOOSE})(0)")
    rows = explored.evaluate(f"[...{BY_TABLE}].map(row => [...row.cells].map(cell => cell.textContent))")
    told = {waited_for: wait for name, waited_for, wait, _ in rows if name == "web.service"}
    found = {name: wait for name, wait, _ in explored.evaluate(FOUND)}
    assert told
    assert {name: found[name] for name in told} == told
    assert explored.errors == []


def test_a_part_is_looked_at_closer_and_left_again_by_mouse_and_keys(explored: Page) -> None:
    """The first two moments are the first second and the second one; 1.9 s of 2.05 s was for batch.service."""
    explored.evaluate(f"({CHOOSE})(0)")
    whole, clock = explored.evaluate(AREA), explored.evaluate(CLOCK)
    drag(explored, 0.0, 1.05 / 6.5)
    assert explored.evaluate(AREA) != whole
    assert explored.evaluate(CLOCK) != clock
    assert explored.evaluate(FOUND) == [["batch.service", "0.4", "100.0\u00a0%"]]
    for key in ("0", "Escape"):
        press(explored, key)
        assert explored.evaluate(AREA) == whole
        press(explored, "+")
        assert explored.evaluate(AREA) != whole
        press(explored, "ArrowRight")
    explored.evaluate("document.querySelector('.explore svg').dispatchEvent(new MouseEvent('dblclick'))")
    assert (explored.evaluate(AREA), explored.evaluate(CLOCK)) == (whole, clock)
    assert explored.errors == []


def test_the_axis_is_the_clock_of_the_host_and_events_are_marked(explored: Page) -> None:
    explored.evaluate(f"({CHOOSE})('')")
    press(explored, "0")
    assert "20:26:16" in explored.evaluate(CLOCK)
    marked = explored.evaluate(
        "[...document.querySelectorAll('.explore .event title')].map(t => t.textContent)"
    )
    assert len(marked) == 3
    assert all("web.service" in text for text in marked)


def test_on_a_phone_what_was_chosen_is_no_wider_than_the_page(explored: Page) -> None:
    explored.evaluate(f"({CHOOSE})(1)")
    explored.resize(*PHONE)
    try:
        assert explored.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert explored.evaluate("document.querySelector('.explore tbody tr').getClientRects().length") == 1
    finally:
        explored.resize(1280, 900)


def test_without_scripts_all_of_it_is_there(tmp_path: Path) -> None:
    summary = replace(RUNS["run-events"], details=replace(DETAILS, by_moment=BY_MOMENT))
    (tmp_path / "report.html").write_text(html.render_run(summary))
    with blank_page(tmp_path / "profile") as page:
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.open(tmp_path / "report.html")
        document = page.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
        assert page.call("DOM.querySelectorAll", nodeId=document, selector=".explore")["nodeIds"] == []
        figure = page.call("DOM.querySelector", nodeId=document, selector="#over-time svg")["nodeId"]
        assert page.call("DOM.getBoxModel", nodeId=figure)["model"]["width"] > 100
        shown = page.call("DOM.getOuterHTML", nodeId=document)["outerHTML"]
    assert shown.count("<table") == html.render_run(RUNS["run-events"]).count("<table")


def paper(page: Page) -> int:
    """How many pages of A4 it is printed on."""
    printed = base64.b64decode(page.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    return len(re.findall(rb"/Type\s*/Page[^s]", printed))


def test_an_experiment_is_three_pages_of_paper_and_what_is_folded_is_on_them(opened: Page) -> None:
    assert 2 <= paper(opened) <= 3
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert opened.evaluate("document.querySelector('details section').checkVisibility()")
    opened.call("Emulation.setEmulatedMedia", media="")


def test_the_longest_experiment_is_three_pages_too_and_nothing_on_them_is_cut(tmp_path: Path) -> None:
    """24 pairs, the most that are run by themselves, of which five trials do not count."""
    pairs, trials = INTERFERENCE.pairs or (), INTERFERENCE.trials or ()
    longest = replace(
        INTERFERENCE,
        pairs=tuple(replace(pairs[block % len(pairs)], block=block) for block in range(24)),
        trials=tuple(
            replace(trials[i % len(trials)], index=i, block=i // 2, void="moved" if i % 10 == 4 else None)
            for i in range(48)
        ),
    )
    (tmp_path / "report.html").write_text(html.render_verdict(longest))
    with blank_page(tmp_path / "profile") as page:
        page.open(tmp_path / "report.html")
        assert paper(page) == 3
        page.call("Emulation.setEmulatedMedia", media="print")
        page.resize(*PAPER)
        assert page.evaluate(BEYOND) == []


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html.render_verdict(HOSTILE))
    with blank_page(tmp_path / "profile") as page:
        page.open(tmp_path / "report.html")
        assert len(page.requests) == 1
        assert page.errors == []
        assert page.evaluate("document.scripts.length") == 0
        assert for_terminal(EVIL) in page.evaluate("document.body.textContent")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A fleet's page with one long curve."""
    directory = tmp_path_factory.mktemp("fleet")
    names = [EVIL, "shop/cart/app", "shop/web/nginx"]
    costs: list[dict[str, FleetCell]] = [
        {"aggressor": name, "aggressor_owner": "batch", "cost_cpu_h": cost, "hosts": 3, "share_pct": 30.0}
        for name, cost in zip(names, (1234.5, 90.25, None), strict=True)
    ]
    curve: list[dict[str, FleetCell]] = [
        {
            "cpu_model": "Early",
            "util_pct": float(place),
            "p99_ms": 1.0 + place,
            "missed": "",
            "knee_pct": None,
        }
        for place in range(40)
    ]
    answers = [
        FleetAnswer(question, question, "So it is.", tuple(rows[0]), tuple(rows), len(rows), "By overlap.")
        for question, rows in (("aggressors", costs), ("knee", curve))
    ]
    coverage = FleetCoverage("2026-06-01T00:00:00+00:00", "2026-06-02T00:00:00+00:00", 3, 72.0, 0, 15)
    found = FleetAnswers(tuple(answers), coverage, (), 10.0, "duckdb", ("jostle", "fleet"), ("One.", "Two."))
    (directory / "fleet.html").write_text(html.render_fleet(found))
    with blank_page(directory / "profile") as page:
        page.open(directory / "fleet.html")
        yield page


FIRST_COLUMN = (
    "[...document.querySelector('table').tBodies[0].rows].map(row => row.cells[0].textContent.trim())"
)


def test_a_fleets_tables_are_sorted_and_what_is_unavailable_comes_last(fleet: Page) -> None:
    assert fleet.errors == []
    assert [Path(url).name for url in fleet.requests] == ["fleet.html"]
    as_ranked = fleet.evaluate(FIRST_COLUMN)
    click = "document.querySelectorAll('th button')[{}].click()"
    fleet.evaluate(click.format(2))
    assert fleet.evaluate(FIRST_COLUMN) == as_ranked
    fleet.evaluate(click.format(0))
    assert fleet.evaluate(FIRST_COLUMN)[-2:] == ["shop/cart/app", "shop/web/nginx"]
    fleet.evaluate(click.format(0))
    assert fleet.evaluate(FIRST_COLUMN)[:2] == ["shop/web/nginx", "shop/cart/app"]
    assert fleet.evaluate("document.querySelector('th').getAttribute('aria-sort')") == "descending"


PICK = """(() => {{
  const select = document.querySelector('select');
  select.value = {!r};
  select.dispatchEvent(new Event('change'));
}})()"""
SHOWN = "[...document.querySelectorAll('tbody tr')].filter(row => row.getClientRects().length).length"
CUT = "[...document.querySelectorAll('.scroll')].filter(at => at.scrollHeight > at.clientHeight + 1).length"


def test_of_a_fleet_one_workload_is_picked(fleet: Page) -> None:
    whole = fleet.evaluate(SHOWN)
    assert whole == 43
    fleet.evaluate(PICK.format("shop/cart/app"))
    assert fleet.evaluate(SHOWN) == 41  # a curve names nobody
    fleet.evaluate(PICK.format(""))
    assert fleet.evaluate(SHOWN) == whole


def test_a_long_table_beside_a_chart_is_whole_on_paper(fleet: Page) -> None:
    fleet.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert fleet.evaluate(CUT) == 0
        assert fleet.evaluate("document.querySelector('.tools').getClientRects().length") == 0
    finally:
        fleet.call("Emulation.setEmulatedMedia", media="")
