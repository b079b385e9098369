r"""A real cgroup called `<script>alert(1)</script>\x1b[31m` in every output that names cgroups: seen, and harmless.

A name holds no slash, so it is two cgroups, one in the other: the path is what is hostile.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import cmarkgfm  # type: ignore[import-untyped]  # ships no type information
import pytest

from reports.html import TEMPLATES
from tests.agent.daemon.metrics.scrapes import read
from tests.cli.running import Ended, end, eventually, run, start
from tests.cli.tmux import jostle, pane
from tests.kernel.situations import Group, Situation, a_cpu, spin

pytestmark = pytest.mark.kernel

SHOWN = "script>\\x1b[31m"
IN_JSON = "script>\\u001b[31m"
# Long enough to wait for whoever else is on its CPU.
VICTIM = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"


@pytest.fixture(scope="module")
def situation() -> Iterator[Situation]:
    with Situation() as made:
        yield made


@pytest.fixture(scope="module")
def evil(situation: Situation) -> Group:
    inner = situation.group("script>\x1b[31m", parent=situation.group("<script>alert(1)<"))
    assert "<script>alert(1)</script>\x1b[31m" in inner.path
    situation.process(spin, inner, {a_cpu()}).go()
    return inner


@pytest.fixture(scope="module")
def plain(situation: Situation) -> Group:
    group = situation.group("plain")
    situation.process(spin, group, {a_cpu()}).go()
    return group


@pytest.fixture(scope="module")
def recording(evil: Group, plain: Group, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "a.run"
    pattern = evil.path.replace("[", "[[]")
    ended = run("record", "-v", "-d", "1", "-o", str(path), "--cgroup", pattern, "--cgroup", plain.path)
    assert_harmless(ended, SHOWN)
    return path


def assert_plain(text: str) -> None:
    assert [c for c in text if c != "\n" and unicodedata.category(c)[0] == "C"] == []


def assert_harmless(ended: Ended, shown: str) -> None:
    assert ended.code == 0, ended.err
    assert_plain(ended.out)
    assert_plain(ended.err)
    assert shown in "".join(ended.out.replace("\n", "").split())  # a long name is folded


@pytest.mark.parametrize(("words", "shown"), [((), SHOWN), (("--json",), IN_JSON)])
def test_top(evil: Group, words: tuple[str, ...], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evil
    monkeypatch.setenv("COLUMNS", "200")  # another column that is folded too would stand amidst the name
    assert_harmless(run("top", "--once", *words), shown)


@pytest.mark.parametrize(("words", "shown"), [((), SHOWN), (("--json",), IN_JSON)])
def test_jostle_alone(evil: Group, plain: Group, words: tuple[str, ...], shown: str) -> None:
    """They share a CPU, so each suffers from the other: one is the answer, the other in the table."""
    assert evil.path != plain.path
    assert_harmless(run("now", "-d", "1", *words), shown)


def test_live_top(evil: Group, tmp_path: Path) -> None:
    with pane(tmp_path, width=160) as screen:
        screen.type(jostle("top", "-i", "0.2"))
        screen.await_text(SHOWN)
        screen.press("q")
        screen.await_gone(SHOWN)
    assert evil


@pytest.mark.parametrize(("words", "shown"), [((), SHOWN), (("--json",), IN_JSON)])
def test_blame(evil: Group, plain: Group, words: tuple[str, ...], shown: str) -> None:
    assert_harmless(run("blame", evil.path, "-d", "0.5", *words), shown)

    def is_blamed() -> bool:
        """On a busy machine it need not have had its turn while the other one waited."""
        ended = run("blame", plain.path, "-d", "1", *words)
        assert_harmless(ended, "")
        return shown in "".join(ended.out.split())

    assert eventually(is_blamed)


@pytest.mark.parametrize(("form", "shown"), [("text", SHOWN), ("json", IN_JSON), ("md", SHOWN), ("html", "")])
def test_reports_of_a_recording(recording: Path, form: str, shown: str) -> None:
    ended = run("report", str(recording), "-f", form)
    assert_harmless(ended, shown)
    assert_inactive(ended.out, form)


def test_an_experiment_in_all_its_reports(evil: Group, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--cpus", str(a_cpu()), "--pairs", "1", "--max-pairs", "1", "-o", str(out))
    freeze = ("--neighbour-cgroup", evil.path, "--allow-freeze")
    ended = run("experiment", "-v", "--victim", VICTIM, *freeze, *words)
    assert_harmless(ended, SHOWN)
    for name, form, shown in (
        ("report.md", "md", SHOWN),
        ("report.html", "html", "script&gt;\\x1b[31m"),
        ("verdict.json", "json", IN_JSON),
    ):
        text = (out / name).read_text()
        assert_plain(text)
        assert shown in text
        assert_inactive(text, form)


def test_doctor(evil: Group) -> None:
    assert evil
    assert_harmless(run("doctor"), "")


AGENT = """\
[agent]
window_s = 0.5
[history]
path = "{directory}/history.db"
[metrics]
listen = "unix:{directory}/metrics.sock"
[detection]
windows = 1
exceeded = 1
[[detection.rules]]
indicator = "wait_per_run"
method = "threshold"
limit = 0.01
"""


@pytest.fixture
def before_all_others(evil: Group, plain: Group, situation: Situation) -> Iterator[None]:
    """They wait for each other alone, however busy their CPU is: of the victims of one, the first alone is told."""
    assert evil.path != plain.path
    usual, first = (os.SCHED_OTHER, os.sched_param(0)), (os.SCHED_RR, os.sched_param(1))
    for process in situation.processes if len(os.sched_getaffinity(0)) > 1 else ():
        os.sched_setscheduler(process.pid, *first)
    yield
    for process in situation.processes:
        os.sched_setscheduler(process.pid, *usual)


@pytest.mark.usefixtures("before_all_others")
def test_the_agent_in_its_journal_its_metrics_and_its_history(evil: Group, tmp_path: Path) -> None:
    config, history = tmp_path / "jostle.toml", str(tmp_path / "history.db")
    config.write_text(AGENT.format(directory=tmp_path))
    process = start("agent", "--config", str(config))
    assert process.stdout is not None
    told = next((line for line in process.stdout if json.loads(line)["victim"] == evil.path), "nothing")
    scraped = ""

    def is_scraped() -> bool:
        """The metrics have a thread of their own, which may take a window later than the journal's."""
        nonlocal scraped
        _, scraped = read(f"unix:{tmp_path}/metrics.sock")
        return SHOWN.replace("\\", "\\\\") in scraped

    assert eventually(is_scraped)
    process.terminate()
    ended = end(process)
    assert (ended.code, ended.err) == (0, "")
    for text in (told, scraped):
        assert_plain(text)
    assert IN_JSON in told
    for form in ("text", "md", "html"):
        ended = run("report", "--history-file", history, "--since", "10m", "-f", form)
        assert_harmless(ended, "" if form == "html" else SHOWN)
        assert_inactive(ended.out, form)


def assert_inactive(text: str, form: str) -> None:
    rendered = cmarkgfm.github_flavored_markdown_to_html(text) if form == "md" else text
    if form in {"md", "html"}:
        assert "<script" not in without_own_script(rendered).lower()


def without_own_script(page: str) -> str:
    """A page without the one script of jostle's own, word for word, and without its data, in which no tag can be."""
    script = f"<script>\n{(TEMPLATES / 'explore.js').read_text()}</script>"
    return re.sub(
        r'<script type="application/json" id="by-moment">[^<]*</script>', "", page.replace(script, "")
    )
