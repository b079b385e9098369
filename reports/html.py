"""Reports as one HTML file for a capacity review: no script, no network, fit for paper, phone and desktop.

Importing this module costs matplotlib and Jinja: only the commands that write HTML do. Every value that reaches the
template passes `reports.escape.for_html`; only the charts, made here, pass as they are.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent.documents.summary import RunSummary
from agent.documents.verdict import Verdict
from reports.charts import run as run_charts
from reports.charts import verdict as verdict_charts
from reports.escape import for_html
from reports.figures import as_shown
from reports.sections.model import Kind, Report
from reports.sections.run import full_run_report
from reports.sections.verdict import capacity_report

PER_CENT = re.compile(r"(?<=\d) (?=%)")  # no line break in `57.8 %`
TEMPLATES = Path(__file__).parent / "templates"


def render_verdict(verdict: Verdict) -> str:
    """The report of an experiment or a comparison, with its charts."""
    return render(capacity_report(verdict), verdict_charts.charts(as_shown(verdict)))


def render_run(summary: RunSummary) -> str:
    """The report of a recording, with its charts."""
    return render(full_run_report(summary), run_charts.charts(summary))


def render(report: Report, drawn: Mapping[str, str] | None = None) -> str:
    """Any report as a page.

    Args:
        report: its sections become the page's sections.
        drawn: SVG elements by the title of the section each belongs above.
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
    return template.render(report=report, charts=figures, style=style, Kind=Kind)


def _harmless(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return Markup(PER_CENT.sub("\u00a0", for_html(str(value))))  # noqa: S704  escaped here
