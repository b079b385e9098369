"""`jostle events`: an agent's history, listed, filtered and explained."""

import dataclasses
import json
import shlex
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.daemon.history_sink import History, Retention
from agent.documents.event import Entitlement, Event, EventState, Incidents, Suspect, VictimCost
from tests.agent.analysis.trials import NEIGHBOUR, cgroup
from tests.agent.daemon.observations import event, observation
from tests.cli.running import run

NS = 10**9
HOSTILE = "/evil\x1b[2J\n"


def told(victim: str, ago_s: int, suspect: str, *, lasted_s: int | None, cost_s: float = 12.5) -> list[Event]:
    """An incident that began so long ago, and its end."""
    began_ns = time.time_ns() - ago_s * NS
    named = Suspect(suspect, 90.0, above_entitlement=True, entitled_times=1.5, name=f"unit-of-{suspect[1:]}")
    raised = replace(
        event(victim, suspects=(named,)),
        utc_ns=began_ns + 60 * NS,
        since_utc_ns=began_ns,
        entitlement=Entitlement.ABOVE,
        advice="give the first suspect a quota",
        victim_name=f"name-of-{victim[1:]}",
    )
    if lasted_s is None:
        return [raised]
    victims = (VictimCost(victim, cost_s - 1, f"name-of-{victim[1:]}"), VictimCost("/second", 1.0))
    end = replace(raised, state=EventState.CLEARED, utc_ns=began_ns + lasted_s * NS, cost_cpu_s=cost_s)
    return [raised, replace(end, victims=victims, victim_count=2)]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "history.db"
    sink = History(path, Retention(10**18, 10**9), {"tier": "ebpf"})
    seen = observation(1, cgroup(1.0, {NEIGHBOUR: 1.0}))
    sink.on_window(dataclasses.replace(seen, end_utc_ns=time.time_ns()))
    for each in (
        *told("/web", 7200, "/batch", lasted_s=300),
        *told(HOSTILE, 3600, "/cron", lasted_s=120),
        *told("/web", 600, "/cron", lasted_s=None),
    ):
        sink.on_event(each)
    sink.close()
    return path


def documents(history: Path, *options: str) -> Incidents:
    found = run("events", "--json", "--history-file", str(history), *options)
    assert found.code == 0, found.err
    return Incidents.from_document(json.loads(found.out))


@pytest.mark.parametrize(
    ("options", "victims"),
    [
        ((), ["/web", HOSTILE, "/web"]),
        (("--since", "90m"), [HOSTILE, "/web"]),
        (("--since", "3h", "--until", "65m"), ["/web"]),
        (("--victim", "/web"), ["/web", "/web"]),
        (("--victim", "name-of-w*"), ["/web", "/web"]),
        (("--victim", "second"), ["/web", HOSTILE]),
        (("--aggressor", "unit-of-cron"), [HOSTILE, "/web"]),
        (("--aggressor", "batch", "--victim", "/none"), []),
        (("2",), [HOSTILE]),
    ],
)
def test_incidents_are_listed_by_time_victim_and_aggressor(
    history: Path, options: tuple[str, ...], victims: list[str]
) -> None:
    found = documents(history, *options)
    assert [each.event.victim for each in found.incidents] == victims


def test_an_incident_has_its_length_its_cost_and_its_worst_victims(history: Path) -> None:
    first, *_, last = documents(history).incidents
    assert (first.duration_s, first.over, first.event.cost_cpu_s) == (300.0, True, 12.5)
    assert [each.cgroup for each in first.event.victims] == ["/web", "/second"]
    assert (last.over, last.event.cost_cpu_s) == (False, None)


def test_a_person_reads_names_and_no_control_characters(history: Path) -> None:
    listed = run("events", "--history-file", str(history))
    assert listed.code == 0
    assert "3 incidents, 25 s of CPU time lost" in " ".join(listed.out.split())
    assert "\x1b" not in listed.out
    for text in ("name-of-web", "+1", "unit-of-batch", "1.5 ×", "12.5 s", "so far"):
        assert text in " ".join(listed.out.split())
    explained = run("events", "--history-file", str(history), "1")
    assert "To do: give the first suspect a quota" in " ".join(explained.out.split())
    # What is to be typed next is typed as it stands, from the same file, whatever the width.
    words = shlex.split(explained.out.partition("Look closer\n")[2].replace("\\\n", ""))
    assert words[:4] == ["jostle", "blame", "/web", "--at"]
    assert words[5:] == ["--history-file", str(history)]


def test_there_is_none_of_that_number_or_no_history(history: Path, tmp_path: Path) -> None:
    assert run("events", "--history-file", str(history), "9").code == 2
    assert run("events", "--history-file", str(tmp_path / "none.db")).code == 2
    empty = run("events", "--history-file", str(history), "--since", "30s")
    assert (empty.code, "1 incident" in empty.out) == (0, True)  # what lasts still
