"""Names in recordings and in the history: those recorded with them, whatever runs here now."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.analysis.recordings import recorded_cgroup
from agent.store.opening import open_to_read
from agent.store.recorded import cgroups_in_history, cgroups_of
from agent.store.run_file import Run, RunWriter
from agent.store.windows import EVER
from collectors.host.resolver import resolve
from collectors.host.workloads import Workload, identify
from collectors.windows.sched import SchedWindow
from collectors.windows.signals import HostSignals, SignalWindow
from probes.errors import UsageError
from tests.agent.analysis.trials import cgroup, window

FIRST, SECOND = "/docker/" + "1a" * 32, "/docker/" + "2b" * 32
NGINX = "/system.slice/nginx.service"


def seen(*named: tuple[str, str]) -> SchedWindow:
    """A window in which these cgroups ran, each in a workload of this name, beside one that was not looked at."""
    names = {path: identify(path).named(name) for path, name in named}
    ran = window(*(cgroup(1.0, path=path) for path in names), cgroup(1.0, path=NGINX))
    return replace(ran, signals=SignalWindow({}, HostSignals({}, {}), names))


def recorded(*named: tuple[str, str]) -> Run:
    return Run(meta={}, windows=(seen(*named),), partial=False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web", FIRST),
        ("db", SECOND),  # recorded by a cgroup inside it alone
        ("1a1a", FIRST),
        ("nginx", NGINX),
        (f"{SECOND}/init", f"{SECOND}/init"),
    ],
)
def test_a_recording_s_own_names_are_enough(wanted: str, found: str) -> None:
    run = recorded((FIRST, "web"), (f"{SECOND}/init", "db"))
    assert resolve(wanted, cgroups_of(run)) == found


def test_a_container_that_was_made_anew_is_the_same_by_its_name() -> None:
    before, after = recorded((FIRST, "web")), recorded((SECOND, "web"))
    assert recorded_cgroup(before, "web", "the first") == FIRST
    assert recorded_cgroup(after, "web", "the second") == SECOND


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("wbe", f"there is no cgroup wbe in the recording: perhaps one of: web ({FIRST})"),
        ("", "there is no cgroup without a name in the recording: `jostle report RUN` lists"),
        ("web", f"2 cgroups are called web: give the path of one: web ({FIRST}), web ({SECOND})"),
        ("python3", "there is no cgroup python3 in the recording"),  # that of now is not asked for
    ],
)
def test_what_a_recording_does_not_name_is_refused(wanted: str, told: str) -> None:
    run = recorded((FIRST, "web"), *([(SECOND, "web")] if wanted == "web" else []))
    with pytest.raises(UsageError, match=re.escape(told)):
        resolve(wanted, cgroups_of(run))


def test_a_history_names_its_cgroups_too(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", {}) as writer:
        writer.append(seen((FIRST, "web")))
        writer.finish()
    with closing(open_to_read(tmp_path / "a.run")) as db:
        among = cgroups_in_history(db, EVER, "")
        assert [resolve(wanted, among) for wanted in ("web", "nginx")] == [FIRST, NGINX]
        assert among.workloads == {FIRST: Workload("container", FIRST, "web", **_docker("1a" * 32))}


def _docker(container_id: str) -> dict[str, str]:
    return {"container_id": container_id, "runtime": "docker"}
