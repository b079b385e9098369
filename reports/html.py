"""Reports as one HTML file for a capacity review: no network, fit for paper, phone and desktop.

The page of a recording has a script with which to look closer, and is whole without it; its policy lets that one run.

Importing this module costs matplotlib and Jinja: only the commands that write HTML do. Every value that reaches the
template passes `reports.escape.for_html`; only the charts, made here, pass as they are.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent.documents.fleet import FleetAnswers
from agent.documents.strict_json import strict_json
from agent.documents.summary import MOST_CGROUPS, RunSummary
from agent.documents.verdict import Verdict
from reports.charts import fleet as fleet_charts
from reports.charts import run as run_charts
from reports.charts import verdict as verdict_charts
from reports.escape import for_html, for_terminal
from reports.figures import as_shown, rounded
from reports.sections.events import called, event_listing
from reports.sections.fleet import fleet_report
from reports.sections.model import Kind, Report
from reports.sections.run import OVER_TIME, full_run_report, waits_unit
from reports.sections.verdict import capacity_report

PER_CENT = re.compile(r"(?<=\d) (?=%)")  # no line break in `57.8 %`
TEMPLATES = Path(__file__).parent / "templates"


def render_verdict(verdict: Verdict) -> str:
    """The report of an experiment or a comparison, with its charts."""
    return render(capacity_report(verdict), verdict_charts.charts(as_shown(verdict)))


def render_run(summary: RunSummary) -> str:
    """The report of a recording, with its charts."""
    waits = waits_by_moment(summary)
    script = "" if waits is None else "explore.js"
    return render(full_run_report(summary), run_charts.charts(summary), script, waits or "")


def render_fleet(found: FleetAnswers) -> str:
    """Answers about a fleet, with their charts; a script sorts their tables."""
    return render(fleet_report(found), fleet_charts.charts(found), "choose.js")


def render(report: Report, drawn: Mapping[str, str] | None = None, script: str = "", waits: str = "") -> str:
    """Any report as a page.

    Args:
        report: its sections become the page's sections.
        drawn: SVG elements by the title of the section each belongs above.
        script: The file among the templates that lets a reader look closer; none where it is empty.
        waits: What that script shows, as `waits_by_moment` has it.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = {title: Markup(svg) for title, svg in (drawn or {}).items()}  # noqa: S704  from reports.charts.canvas
    style = Markup((TEMPLATES / "report.css").read_text())  # noqa: S704  a file of this package
    template = environment.get_template("report.html")
    code = f"\n{(TEMPLATES / script).read_text()}" if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return template.render(
        report=report,
        charts=figures,
        style=style,
        Kind=Kind,
        explored=OVER_TIME,
        script=Markup(code),  # noqa: S704  a file of this package
        waits=Markup(waits),  # noqa: S704  escaped by waits_by_moment
        policy=f"; script-src 'sha256-{digest}'" if script else "",
    )


def waits_by_moment(summary: RunSummary) -> str | None:
    """What the script shows, as JSON in which nothing can end its element; None where there is nothing to show.

    Names stand as they are shown, and events as they are listed.
    """
    by_moment = summary.details and summary.details.by_moment
    if not by_moment or not by_moment.cgroups or summary.since is None:
        return None
    scale, unit = waits_unit(summary.cgroups[:MOST_CGROUPS])
    listed = event_listing(summary.events, called(summary.cgroups)).items if summary.events else ()
    document = {
        "since": summary.since,
        "unit": {"name": unit, "scale": scale},
        "moments": [(moment.begin_s, moment.end_s) for moment in by_moment.moments],
        "cgroups": [
            {
                "name": for_terminal(cgroup.name),
                "waiting": [rounded(waiting) for waiting in cgroup.mean_waiting],
                "waited_for": [
                    {"name": for_terminal(each.name), "wait_ns": each.wait_ns} for each in cgroup.waited_for
                ],
            }
            for cgroup in by_moment.cgroups
        ],
        "steps_s": run_charts.STEPS_S,
        "events": [
            {"begin_s": begin_s, "end_s": end_s, "text": for_terminal(text)}
            for (begin_s, end_s), text in zip(run_charts.marks(summary), listed, strict=False)
        ],
    }
    text = strict_json(document)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _harmless(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return Markup(PER_CENT.sub("\u00a0", for_html(str(value))))  # noqa: S704  escaped here
