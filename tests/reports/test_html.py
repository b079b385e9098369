"""The HTML report: one self-contained file that says what the others say, to every reader."""

import base64
import hashlib
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.documents.summary import (
    Moment,
    RunMatrix,
    RunSummary,
    WaitedFor,
    Waiting,
    Waits,
    WaitsByMoment,
)
from agent.documents.verdict import Aggressor, Cause, CauseKind, Verdict
from agent.documents.verdict_parts import (
    Blame,
    Confirmation,
    Pair,
    SweepPoint,
    WaitHistograms,
    WaitMatrix,
)
from reports import html, text
from reports.charts import run as run_charts
from reports.charts import verdict as verdict_charts
from reports.charts.canvas import LONGEST_NAME, PALETTE
from reports.escape import for_terminal, shortened
from reports.sections.model import Report, Table
from reports.sections.run import full_run_report
from reports.sections.verdict import capacity_report, verdict_report
from tests.agent.analysis.summaries import BY_MOMENT, DETAILS, SUMMARY
from tests.reports.samples import EVIL, HOSTILE, INTERFERENCE, PARTIAL, RUNS, VERDICTS
from tests.reports.test_same_figures import numbers_in

VOID = {"meta", "br", "hr", "img", "link", "input"}
ACTIVE = {"script", "iframe", "object", "embed", "link", "img", "form", "base", "image", "foreignobject"}
STYLE = (Path(html.__file__).parent / "templates" / "report.css").read_text()
SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


class Page(HTMLParser):
    """A page's elements and text; unbalanced tags are an error."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


@cache
def source(name: str) -> str:
    return html.render_verdict(VERDICTS[name])


@cache
def page(name: str) -> Page:
    return Page(source(name))


every_verdict = pytest.mark.parametrize("name", VERDICTS)


@every_verdict
def test_nothing_is_active_and_nothing_is_fetched(name: str) -> None:
    assert {tag for tag, _ in page(name).elements}.isdisjoint(ACTIVE)
    attributes = [pair for _, attributes in page(name).elements for pair in attributes.items()]
    assert not [key for key, _ in attributes if key.startswith("on") or key in ("src", "srcdoc", "action")]
    links = [value for key, value in attributes if key.endswith("href")]
    assert all(re.fullmatch(r"#[\w-]+|\./[\w./%~-]+", value) for value in links), links
    assert "url(" not in STYLE
    assert "@import" not in STYLE


@every_verdict
def test_every_reference_has_its_target_and_every_id_is_unique(name: str) -> None:
    attributes = [attributes for _, attributes in page(name).elements]
    ids = [entry["id"] for entry in attributes if "id" in entry]
    assert len(ids) == len(set(ids))
    wanted = {target for entry in attributes for target in entry.get("aria-labelledby", "").split()}
    wanted |= {entry["xlink:href"].removeprefix("#") for entry in attributes if "xlink:href" in entry}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", source(name)))
    assert wanted - set(ids) == set()


@every_verdict
def test_the_figures_are_those_of_the_text(name: str) -> None:
    in_text = numbers_in(text.render(verdict_report(VERDICTS[name]), width=500))
    assert in_text - numbers_in(page(name).text) == set()


@every_verdict
def test_the_verdict_comes_first(name: str) -> None:
    report = capacity_report(VERDICTS[name])
    body = page(name).text.partition("jostle report")[2].partition(for_terminal(report.context))[2].split()
    words = " ".join(for_terminal(line) for line in report.answer).split()
    assert body[: len(words) + len(report.headline.split())] == [*report.headline.split(), *words]


def assert_images_have_names_and_tables(made: str, charts: dict[str, str], report: Report) -> None:
    assert charts.keys() <= {section.title for section in report.sections if isinstance(section, Table)}
    for drawing in SVG.findall(made):
        root = ET.fromstring(drawing)  # noqa: S314  made by this test's own call
        assert root.get("role") == "img"
        assert [child.tag.split("}")[1] for child in root][:2] == ["title", "desc"]
        assert root[1].text is not None
        assert root[1].text.endswith("The table below has the figures.")


@every_verdict
def test_every_image_has_a_name_and_a_table(name: str) -> None:
    verdict = VERDICTS[name]
    assert_images_have_names_and_tables(
        source(name), verdict_charts.charts(verdict), capacity_report(verdict)
    )


def test_there_is_a_chart_of_everything() -> None:
    assert len(SVG.findall(source("interference"))) == 9
    assert SVG.findall(source("partial")) == []


def test_a_chart_of_many_shows_the_first_and_the_table_all() -> None:
    many = tuple(Blame(f"/{n}", f"cgroup-{n}", 30.0 - n, 1.0) for n in range(25))
    made = html.render_verdict(replace(INTERFERENCE, blame=many))
    chart = next(svg for svg in SVG.findall(made) if "Whom the victim waited for" in svg)
    assert "cgroup-11" in chart
    assert "cgroup-12" not in chart
    assert "12 of 25 cgroups" in chart
    assert "cgroup-24" in Page(made).text


def test_where_nobody_waited_there_is_no_matrix() -> None:
    nobody = WaitMatrix(("victim",), (), ((),))
    assert "Who waited for whom" not in html.render_verdict(replace(INTERFERENCE, matrix=nobody))


def test_charts_are_drawn_in_the_colours_of_the_page() -> None:
    drawings = "".join(SVG.findall(source("interference")))
    assert not [colour for colour in PALETTE if colour in drawings]
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) == set()
    assert {variable for variable in PALETTE.values() if variable in drawings} == set(PALETTE.values())


def test_text_in_charts_is_text() -> None:
    drawings = "".join(SVG.findall(source("interference")))
    assert ">cpu-wait</text>" in drawings
    assert ">neighbour-1 stress-ng</text>" in drawings


def test_the_files_beside_it_are_plain_names_which_do_not_die_where_the_page_is_attached() -> None:
    assert not [tag for tag, _ in page("interference").elements if tag == "a"]
    assert all(file.path in page("interference").text for file in INTERFERENCE.files or ())


def test_the_first_lines_say_what_ran_where_and_when() -> None:
    head = page("interference").text.partition("Interference")[2].partition("Effect")[0]
    ran, host = INTERFERENCE.experiment, INTERFERENCE.host
    assert ran is not None
    assert host is not None
    assert [
        word for word in (ran.victim, *ran.neighbours, host.hostname, ran.started) if word not in head
    ] == []


def test_the_command_to_run_it_again_is_on_the_page() -> None:
    words = page("interference").text.partition("To run it again")[2].partition("Files")[0]
    assert "--victim" in words
    assert "stress-ng --cpu 2" in words


def test_trials_are_drawn_from_0() -> None:
    trials = INTERFERENCE.trials or ()
    drawn = verdict_charts.trial_chart(trials, "duration", "s")
    assert re.search(r">0(\.0+)?</text>", drawn)


def test_hostile_names_show_as_they_are_and_do_nothing() -> None:
    hostile = source("hostile")
    assert "<script" not in hostile.lower()
    assert all(character == "\n" or unicodedata.category(character)[0] != "C" for character in hostile)
    assert hostile.encode()
    assert for_terminal(HOSTILE.reason) in unescape(hostile.partition("<title>")[2].partition("</title>")[0])
    assert for_terminal(EVIL) in page("hostile").text
    assert shortened(EVIL, LONGEST_NAME) in page("hostile").text


def test_a_name_that_no_font_has_is_drawn() -> None:
    odd = "邻居 \U0001f98a $x_1$ _hidden"
    verdict = replace(
        INTERFERENCE,
        aggressors=(Aggressor("/odd", odd, 50.0, CauseKind.CPU_WAIT),),
        blame=(Blame("/odd", odd, 5.0, 50.0),),
    )
    assert odd in "".join(SVG.findall(html.render_verdict(verdict)))


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": INTERFERENCE.pairs and INTERFERENCE.pairs[:1]},
        {"pairs": (Pair(0, 1.0, 1.0, 0.0),) * 3},
        {"trials": INTERFERENCE.trials and (replace(INTERFERENCE.trials[0], metrics={}, void="timed out"),)},
        {"causes": (Cause(CauseKind.UNEXPLAINED, 100.0),)},
        {"causes": tuple(Cause(kind, 100 / len(CauseKind), (-900.0, 900.0)) for kind in CauseKind)},
        {"blame": tuple(Blame(f"/{n}", "long " * 40, 0.0, 0.0) for n in range(25))},
        {"histograms": WaitHistograms((None,), (0,), (0,))},
        {"histograms": WaitHistograms((*(2.0**n for n in range(35)), None), (0,) * 36, (10**9,) * 36)},
        {"matrix": WaitMatrix(("a",), ("a",), ((0.0,),))},
        {"matrix": WaitMatrix(("long " * 40,) * 9, ("x",) * 11, ((1e9,) * 11,) * 9)},
        {"confirmed": tuple(Confirmation(f"/{n}", "long " * 40, -3.0, None, 1) for n in range(9))},
        {"sweep": (SweepPoint(50.0, 3.0, None),)},
        {"effect": INTERFERENCE.effect and replace(INTERFERENCE.effect, unit="", metric="$m_x")},
    ],
)
def test_unusual_figures_can_be_drawn(changes: dict[str, Any]) -> None:
    drawn = Page(html.render_verdict(replace(INTERFERENCE, **changes)))
    assert [tag for tag, _ in drawn.elements].count("svg") == 9


def test_the_same_verdict_gives_the_same_file() -> None:
    assert html.render_verdict(HOSTILE) == source("hostile")


@pytest.mark.parametrize("name", RUNS)
def test_a_recording_is_a_page_too(name: str) -> None:
    summary = RUNS[name]
    made, report = html.render_run(summary), full_run_report(summary)
    assert numbers_in(text.render(report, width=500)) - numbers_in(Page(made).text) == set()
    assert_images_have_names_and_tables(made, run_charts.charts(summary), report)
    assert len(SVG.findall(made)) == 3
    assert "<script" not in made.lower()


def exploring(summary: RunSummary) -> str:
    return html.render_run(replace(summary, details=replace(DETAILS, by_moment=BY_MOMENT)))


def test_one_script_runs_and_the_policy_names_it_by_its_hash() -> None:
    scripts = re.findall(r"<script>(.*?)</script>", exploring(RUNS["run-events"]), re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policies = re.findall(r'Content-Security-Policy" content="([^"]*)"', exploring(RUNS["run-events"]))
    assert policies == [f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|fetch|import", scripts[0])


def test_no_name_ends_the_data_of_the_script() -> None:
    evil = "</script><script>alert(1)</script><!--<script>"
    waits = WaitsByMoment(evil, (0.5, 0.0), (WaitedFor(f"{EVIL}{evil}", (7, 0)),))
    details = replace(DETAILS, by_moment=replace(BY_MOMENT, cgroups=(waits,)))
    made = html.render_run(replace(RUNS["run-hostile"], details=details))
    assert [tag for tag, _ in Page(made).elements].count("script") == 2
    data = json.loads(made.partition('id="by-moment">')[2].partition("</script>")[0])
    assert data["cgroups"][0]["name"] == evil
    assert data["cgroups"][0]["waited_for"][0]["name"] == for_terminal(f"{EVIL}{evil}")


def test_without_the_script_the_page_is_what_it_was() -> None:
    bare = re.sub(r"<script.*?</script>\n", "", exploring(RUNS["run-events"]), flags=re.DOTALL)
    bare = re.sub(r"; script-src '[^']*'", "", bare)
    assert bare == html.render_run(RUNS["run-events"])


def test_a_recording_in_which_nobody_waited_has_no_charts() -> None:
    details = replace(DETAILS, by_length=(), over_time=(), matrix=RunMatrix((), (), ()))
    assert SVG.findall(html.render_run(replace(SUMMARY, details=details))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"moments": (Moment(0.0, 0.0),), "over_time": (Waiting("x", (0.0,)),)},
        {"by_length": (Waits("long " * 40, (0, 0, 0, 0, 1)),) * 6},
        {"by_length": (Waits("邻居 $x_1$", (10**9, 0, 0, 0, 0)),)},
        {"matrix": RunMatrix(("a",), ("a",), ((0,),))},
        {"matrix": RunMatrix(("long " * 40,) * 6, ("x",) * 7, ((10**13,) * 7,) * 6)},
    ],
)
def test_unusual_recordings_can_be_drawn(changes: dict[str, Any]) -> None:
    details = replace(DETAILS, **changes)
    made = html.render_run(replace(SUMMARY, details=details))
    assert len(SVG.findall(made)) == 3


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [
        (INTERFERENCE, "interference"),
        (PARTIAL, "inconclusive"),
        (VERDICTS["no-interference"], "no-interference"),
    ],
)
def test_the_verdict_has_its_colour(verdict: Verdict, tone: str) -> None:
    assert f'<header class="{tone}">' in html.render_verdict(verdict)
    assert f".{tone} {{ --verdict:" in STYLE


def themes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_text_contrasts_with_its_ground_on_screen_in_the_dark_and_on_paper() -> None:
    assert len(themes()) == 3
    for theme in themes():
        for ground in ("paper", "panel"):
            for colour in ("ink", "muted", "with", "without", "bad", "good", "own", "open"):
                assert contrast(theme[colour], theme[ground]) >= 4.5, (colour, ground, theme)


def test_what_decides_is_open_and_the_rest_is_folded_without_a_script() -> None:
    shown, _, folded = source("interference").partition("<details>")
    assert source("interference").count("<details>") == source("interference").count("</details>") == 1
    assert [
        title for title in ("Effect", "Suspects", "Advice", "Quality") if f">{title}</h2>" not in shown
    ] == []
    assert [title for title in ("Pairs of trials", "Method", "Host") if f">{title}</h2>" not in folded] == []


def test_of_a_recording_who_waited_for_whom_when_is_open_and_the_rest_is_folded() -> None:
    shown, _, folded = html.render_run(RUNS["run-events"]).partition("<details>")
    titles = ("Events", "Waiting for a CPU", "Tasks waiting over time", "Who waited for whom")
    assert [title for title in titles if f">{title}</h2>" not in shown] == []
    assert [title for title in ("Losing the CPU", "Quality", "Host") if f">{title}</h2>" not in folded] == []
