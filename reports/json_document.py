"""Reports as one JSON document: ASCII only, so that no name can act on the terminal it is shown on."""

from collections.abc import Sequence

from msgspec import to_builtins

from agent.documents.blame import BlameSummary
from agent.documents.capabilities import Capability, Counting
from agent.documents.event import Incidents
from agent.documents.fleet import FleetAnswers
from agent.documents.now import HostNow
from agent.documents.selftest import Label, Selftest
from agent.documents.selftest_detection import DetectionSelftest, EpisodeLabel
from agent.documents.strict_json import strict_json
from agent.documents.summary import RunSummary
from agent.documents.top import LiveTable
from agent.documents.verdict import Verdict
from reports.figures import as_shown
from reports.sections import blame as blame_sections

DOCTOR_SCHEMA = "jostle.doctor/1"
LABELS_SCHEMA = "jostle.scenarios/1"
EPISODES_SCHEMA = "jostle.episodes/1"


def render_verdict(verdict: Verdict) -> str:
    """The verdict document of the contract, its conclusions rounded as in every other report."""
    return _dump(as_shown(verdict).to_document())


def render_run(summary: RunSummary) -> str:
    """A recording's summary, as measured."""
    return _dump(summary.to_document())


def render_blame(blame: BlameSummary) -> str:
    """Who a cgroup waited for, rounded as in every other form."""
    return _dump(blame_sections.as_shown(blame).to_document())


def render_top(table: LiveTable) -> str:
    """One window of the live table, as measured."""
    return _dump(table.to_document())


def render_now(now: HostNow) -> str:
    """Who suffers on a host right now, as measured."""
    return _dump(now.to_document())


def render_incidents(found: Incidents) -> str:
    """What the agent told, as it told it."""
    return _dump(found.to_document())


def render_capabilities(capabilities: Sequence[Capability], counting: Counting) -> str:
    """What the host can measure: `capabilities`, each `{name, state, reason, remedy}`; what counting events costs."""
    entries = [to_builtins(capability) for capability in capabilities]
    return _dump({"schema": DOCTOR_SCHEMA, "capabilities": entries, "counting": to_builtins(counting)})


def render_selftest(selftest: Selftest | DetectionSelftest) -> str:
    """A self-test, as measured."""
    return _dump(selftest.to_document())


def render_fleet(found: FleetAnswers) -> str:
    """Answers about a fleet, as computed."""
    return _dump(found.to_document())


def render_labels(labels: Sequence[Label]) -> str:
    """The self-test's scenarios: a list `scenarios` of labels."""
    return _dump({"schema": LABELS_SCHEMA, "scenarios": [to_builtins(label) for label in labels]})


def render_episodes(labels: Sequence[EpisodeLabel]) -> str:
    """The episodes of the self-test of detection: a list `episodes` of labels."""
    return _dump({"schema": EPISODES_SCHEMA, "episodes": [to_builtins(label) for label in labels]})


def _dump(document: dict[str, object]) -> str:
    return strict_json(document, indent=2) + "\n"
