"""The HTML report in a real browser."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports import html
from reports.escape import for_terminal
from tests.agent.analysis.summaries import SUMMARY
from tests.reports.browser import Page, blank_page
from tests.reports.samples import EVIL, HOSTILE, INTERFERENCE

CHARTS = """[...document.querySelectorAll("svg[role=img]")].map(svg => {
  const box = svg.getBoundingClientRect();
  return [svg.querySelector("title").textContent, box.width > 100 && box.height > 50 && box.right <= innerWidth];
})"""
HIDDEN = """[...document.querySelectorAll("td, dd, h1, h2, li")].filter(
  e => e.textContent.trim() && !e.getClientRects().length).length"""
PHONE = (390, 844)


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


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html.render_verdict(HOSTILE))
    with blank_page(tmp_path / "profile") as page:
        page.open(tmp_path / "report.html")
        assert len(page.requests) == 1
        assert page.errors == []
        assert page.evaluate("document.scripts.length") == 0
        assert for_terminal(EVIL) in page.evaluate("document.body.textContent")
