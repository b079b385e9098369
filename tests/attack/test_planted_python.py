"""Root stands in a directory that somebody else can write: none of the Python that lies there ever runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.selftest.scenarios import TwoCpus, scenarios
from probes.isolated import python
from tests.attack.stranger import Stranger
from tests.cli.running import LONG_S, ROOT
from tests.cli.test_report import recorded

pytestmark = pytest.mark.root

# As a user's shell starts it: the script that pip wrote, without PYTHONPATH.
JOSTLE = str(Path(sys.executable).with_name("jostle"))
CHILDREN = (
    "agent.cli.agent_process",
    "agent.cli.record_process",
    "agent.sandbox.janitor",
    "agent.selftest.workloads.limited",
    "agent.selftest.workloads.neighbour",
    "agent.selftest.workloads.service",
    "agent.selftest.workloads.victim",
    "probes.compiler",
)
OURS = ("agent", "collectors", "probes", "reports")
THEIRS = ("bcc", "json", "matplotlib", "msgspec", "numpy", "psutil", "re", "runpy", "sitecustomize", "typing")
EVIL = "import os\nos.close(os.open({mark!r}, os.O_CREAT | os.O_WRONLY))\nraise SystemExit(66)\n"


@pytest.fixture
def planted(stranger: Stranger) -> Stranger:
    text = EVIL.format(mark=str(stranger.directory / "ran"))
    packages = {part for child in CHILDREN for part in above(child)} | set(OURS)
    for name in packages:
        stranger.plants(f"{name.replace('.', '/')}/__init__.py", text if name in OURS else "")
    for name in (*CHILDREN, *THEIRS, "usercustomize"):
        stranger.plants(f"{name.replace('.', '/')}.py", text)
    stranger.plants("matplotlibrc", "a.tenants.key: 1\n")
    return stranger


def above(module: str) -> list[str]:
    parts = module.split(".")[:-1]
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def run_there(
    words: list[str], stranger: Stranger, pythonpath: str | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """As root, from the stranger's directory."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    extra = {} if pythonpath is None else {"PYTHONPATH": pythonpath}
    return subprocess.run(
        words,
        cwd=stranger.directory,
        env=inherited | extra | environment,
        input="",
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def test_what_was_planted_would_run(planted: Stranger) -> None:
    run_there([sys.executable, "-m", "agent.selftest.workloads.victim"], planted)
    assert planted.has("ran")


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize("pythonpath", [None, "", ".", ":/nowhere"])
def test_a_child_is_jostles_own(planted: Stranger, child: str, pythonpath: str | None) -> None:
    word = "a" * 200 if child.endswith("service") else "--help"  # too long a name to serve under
    run_there(python(child, word), planted, pythonpath)
    assert not planted.has("ran")


def test_every_child_starts_by_the_one_way() -> None:
    elsewhere = [
        str(path.relative_to(ROOT))
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if "sys.executable" in path.read_text() and path.name != "isolated.py"
    ]
    assert elsewhere == []


def test_a_scenario_runs_nothing_but_jostles_own() -> None:
    commands = [text for each in scenarios(TwoCpus(0, 1)) for text in (each.victim, *each.neighbours)]
    assert [text for text in commands if " -m " in text] == []


@pytest.mark.kernel
@pytest.mark.parametrize(
    "words",
    [
        ["experiment", "--demo", "--pairs", "2", "--max-pairs", "2", "--seed", "1"],
        ["record", "-d", "0.3", "-i", "0.1"],
        ["record", "-i", "0.1", "--", "true"],
        ["selftest", "--scenario", "own-quota", "--repeat", "1", "--seed", "1"],
        ["doctor"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_runs_what_was_planted(planted: Stranger, tmp_path: Path, words: list[str]) -> None:
    more = [] if words == ["doctor"] else ["-o", str(tmp_path / "out")]
    done = run_there([JOSTLE, words[0], *more, *words[1:]], planted)
    assert (done.returncode, planted.has("ran")) == (0, False), done.stderr


def test_a_report_reads_no_style_of_a_strangers(planted: Stranger, tmp_path: Path) -> None:
    recording = recorded(tmp_path / "a.run")
    done = run_there(
        [JOSTLE, "report", str(recording), "-f", "html", "-o", str(tmp_path / "a.html")], planted
    )
    assert (done.returncode, planted.has("ran")) == (0, False)
