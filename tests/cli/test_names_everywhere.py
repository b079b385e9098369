"""Containers laid out as Docker does with its data elsewhere: called by their names by every command, in every format.

Cgroups, processes, state files and a daemon's command line are real; only the daemon is none.
"""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from tests.agent.daemon.metrics.scrapes import read
from tests.agent.sandbox.foreign import BUSY, foreign_cgroup, host_mounts
from tests.cli.running import JOSTLE, ROOT, eventually, is_one_line, run

pytestmark = pytest.mark.kernel

LONG_ID = re.compile(r"[0-9a-f]{64}")
# Where the path behind a name has its place: tables and columns of paths; commands to paste, which are to freeze that
# cgroup alone, or to write to its file.
PATHS = re.compile(
    r"^(#+ )?(Containers|Their cgroups|Cgroup)\n.*?(\n\n|\Z)|--(victim|neighbour)-cgroup[\s\\]+/\S+"
    r"|\| `/[^`]*` \|$|echo \S+ \\?> /sys/\S+",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The ids of two containers that fight for a CPU, by name."""
    place = tmp_path_factory.mktemp("docker")
    found = {name: secrets.token_hex(32) for name in ("victim-api", "noisy-batch")}
    for name, each in found.items():
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name.partition("-")[2]}
        state = place / "data/containers" / each / "config.v2.json"
        state.parent.mkdir(parents=True)
        state.write_text(json.dumps({"Name": f"/{name}", "Config": {"Image": f"{name}:1", "Labels": labels}}))
    daemon = place / "dockerd"
    daemon.write_text("#!/bin/sh\nread _\n")
    daemon.chmod(0o755)
    with ExitStack() as stack:
        words = [str(daemon), "--data-root", str(place / "data")]
        running = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE))
        assert eventually(lambda: Path(f"/proc/{running.pid}/comm").read_text() == "dockerd\n")
        for each in found.values():
            script = f"exec taskset -c 0 sh -c '{BUSY}'"
            stack.enter_context(foreign_cgroup(host_mounts(detect_layout()), script, inner=each))
        yield found


@pytest.fixture(scope="module")
def recording(ids: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recording") / "a.run"
    ended = run("record", "-d", "1", "-i", "0.5", "-o", str(file), "-v")
    assert ended.code == 0, ended.err
    only_names(ids, ended.out + ended.err)
    return file


def only_names(ids: dict[str, str], text: str) -> None:
    assert [name for name in ids if name not in text] == []
    assert [
        line.strip()[:200]
        for line in PATHS.sub("", text).splitlines()
        if any(each in line for each in ids.values())
    ] == []


@pytest.mark.parametrize(
    "words",
    [("blame", "victim-api", "-d", "0.5", "-v"), ("top", "--once", "-i", "0.5"), ("now", "-d", "1")],
    ids=lambda words: words[0],
)
def test_what_is_watched_now(ids: dict[str, str], words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert ended.code == 0, ended.err
    only_names(ids, ended.out + ended.err)


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_a_recording_in_every_format(ids: dict[str, str], recording: Path, form: str) -> None:
    ended = run("report", str(recording), "-f", form)
    assert ended.code == 0, ended.err
    only_names(ids, re.sub(r'<td [^>]*data-heading="Cgroup">.*?</td>', "", ended.out))


@pytest.mark.parametrize("spell", ["{name}", "{id:.12}", "{name}:1", "{service}", "shop/{service}"])
def test_a_recording_is_asked_by_every_name(ids: dict[str, str], recording: Path, spell: str) -> None:
    name = "noisy-batch"
    wanted = spell.format(name=name, id=ids[name], service="batch")
    ended = run("blame", wanted, "--run", str(recording), "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["name"], document["cgroup"].endswith(ids[name])) == (name, True)
    assert {part["name"] for part in document["parts"]} >= {"victim-api"}


def test_an_experiment_takes_names_and_answers_with_them(ids: dict[str, str], tmp_path: Path) -> None:
    words = ["--victim-cgroup", "victim-api", "--neighbour-cgroup", "batch", "--allow-freeze"]
    ended = run("experiment", *words, "--pairs", "2", "--max-pairs", "2", "-v", "-o", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    only_names(ids, ended.out + ended.err)


def test_advise_asks_about_names(ids: dict[str, str], tmp_path: Path) -> None:
    ended = run("advise", "victim-api", "-o", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (2, "")
    asked, _refused = ended.err.splitlines()
    assert "noisy-batch" in asked
    assert [each for each in ids.values() if each in ended.err] == []


@pytest.mark.slow
def test_advise_answers_with_names(ids: dict[str, str], tmp_path: Path) -> None:
    ended = run("advise", "victim-api", "--yes", "-v", "-o", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    only_names(ids, ended.out + ended.err)
    report = (tmp_path / "out/report.md").read_text()
    only_names(ids, report)
    assert re.search(r"docker update --cpus=[0-9.]+ noisy-batch", report)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--neighbour-cgroup", "noisy-batch", "--neighbour-cgroup", "batch"), "noisy-batch is given twice"),
        (("--neighbour-cgroup", "victim-api"), "victim-api contains the victim victim-api"),
    ],
)
def test_what_is_refused_is_told_by_its_name(
    ids: dict[str, str], tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    out = ("--allow-freeze", "-o", str(tmp_path / "out"))
    ended = run("experiment", "--victim-cgroup", "victim-api", *words, *out)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert [each for each in ids.values() if each in ended.err] == []


def test_a_name_of_none_is_refused_with_the_candidates(ids: dict[str, str]) -> None:
    ended = run("blame", "noisy-bacth")
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert re.search(rf"perhaps one of: noisy-batch \(\S+/{ids['noisy-batch']}\)", ended.err)


AGENT = """
[agent]
window_s = 1
budget_pct = 100
[detection]
windows = 1
exceeded = 1
[[detection.rules]]
indicator = "wait_per_run"
method = "threshold"
limit = 0.05
[history]
path = "{0}/history.db"
[metrics]
listen = "unix:{0}/metrics.sock"
detail = "all"
"""
# Where documents and series have their paths; in all else a container has its name.
PATH_FIELDS = re.compile(r'"(victim|cgroup|suspect|aggressor|path|cgroups)": ?("[^"]*"|\[[^\]]*\])')
PATH_LABELS = re.compile(r'(cgroup|victim|aggressor|suspect)="[^"]*"')


@pytest.fixture(scope="module")
def watched(ids: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an agent that has told of an incident and kept it; `out` and `scrape` are its words."""
    place = tmp_path_factory.mktemp("g")
    (place / "jostle.toml").write_text(AGENT.format(place))
    with (place / "out").open("wb") as out:
        agent = subprocess.Popen(
            [*JOSTLE, "agent", "--config", str(place / "jostle.toml")], stdout=out, cwd=ROOT
        )
    try:
        told = rf'"victim": ?"[^"]*({"|".join(ids.values())})"'
        assert eventually(lambda: re.search(told, (place / "out").read_text()) is not None)
        assert eventually(
            lambda: "victim-api" in run("events", "--history-file", str(place / "history.db")).out
        )
        (place / "scrape").write_text(read(f"unix:{place}/metrics.sock")[1])
    finally:
        agent.terminate()
        assert agent.wait(60) == 0
    return place


def test_what_the_agent_says_to_the_journal(watched: Path) -> None:
    lines = (watched / "out").read_text()
    assert re.search('"victim_name": ?"(victim-api|noisy-batch)"', lines)
    assert not LONG_ID.search(PATH_FIELDS.sub("", lines))


def test_what_the_agent_says_to_a_scraper(ids: dict[str, str], watched: Path) -> None:
    only_names(ids, PATH_LABELS.sub("", (watched / "scrape").read_text()))


@pytest.mark.parametrize(
    "words",
    [
        ("events",),
        ("events", "1"),
        ("report", "--history", "--since", "10m"),
        ("report", "--history", "--since", "10m", "-f", "md"),
    ],
    ids=" ".join,
)
def test_what_the_history_tells(watched: Path, words: tuple[str, ...]) -> None:
    ended = run(*words, "--history-file", str(watched / "history.db"))
    assert ended.code == 0, ended.err
    assert "victim-api" in ended.out or "noisy-batch" in ended.out
    assert not LONG_ID.search(PATHS.sub("", ended.out + ended.err))


def test_what_a_fleet_is_told(watched: Path) -> None:
    data = str(watched / "data")
    ended = run("ship", data, "--history-file", str(watched / "history.db"), "--partial")
    assert ended.code == 0, ended.err
    for question in ("victims", "aggressors", "incidents", "review"):  # by owner: the services of Compose
        ended = run("fleet", question, data)
        assert ended.code == 0, ended.err
        assert not LONG_ID.search(PATHS.sub("", ended.out + ended.err)), question


def test_a_comparison_and_a_name_to_complete(recording: Path) -> None:
    ended = run("compare", str(recording), str(recording), "--cgroup", "victim-api", "-v")
    assert ended.code == 0, ended.err
    assert not LONG_ID.search(PATHS.sub("", ended.out + ended.err))
    shell = {"_JOSTLE_COMPLETE": "complete_bash", "COMP_WORDS": "jostle blame victim-a", "COMP_CWORD": "2"}
    done = subprocess.run(
        JOSTLE, env={**os.environ, **shell}, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.split() == ["victim-api", "victim-api:1"]  # its image, too
