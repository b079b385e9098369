"""A real cgroup with the worst name that the kernel allows, through all that the daemon tells of it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reports.escape import for_terminal
from tests.agent.daemon.metrics.scrapes import parsed, read
from tests.agent.daemon.test_notify import visible
from tests.cli.running import end, eventually, run, start
from tests.cli.test_hostile import assert_harmless, assert_inactive, assert_plain
from tests.kernel.situations import Group, Situation, spin

pytestmark = pytest.mark.kernel

# Quotes, escape sequences, a bell, a right-to-left override, Markdown, HTML, and a byte that is no UTF-8. The kernel
# takes no new line (cgroup_mkdir); tests/agent/daemon/metrics/test_collector.py and test_history_sink.py give one.
_WORST = "a\"'\\\x1b]0;owned\x07\x1b[31m\u202e`|<script>{$x}%s\udcff"
_LONGEST_BYTES = 255
CONFIG = """
agent.window_s = 0.5
history.path = "{directory}/history.db"
metrics.listen = "unix:{directory}/metrics.sock"
[detection]
windows = 1
exceeded = 1
[[detection.rules]]
indicator = "throttled_share"
method = "threshold"
limit = 0.1
"""


def longest(name: str) -> str:
    """With as many umlauts as fit."""
    return name + "ü" * ((_LONGEST_BYTES - len(name.encode("utf-8", "surrogateescape"))) // 2)


@pytest.fixture(scope="module")
def evil() -> Iterator[Group]:
    with Situation() as situation:
        limited = situation.limitable_group()
        limited.limit(2_000, 100_000)  # so little that it binds beside whatever else runs
        inner = situation.group(longest(_WORST), parent=limited)
        situation.process(spin, inner).go()
        yield inner


@pytest.fixture(scope="module")
def place(evil: Group, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where an agent watches until it has told of it."""
    directory = tmp_path_factory.mktemp("a")
    (directory / "jostle.toml").write_text(CONFIG.format(directory=directory))
    process = start("agent", "--config", str(directory / "jostle.toml"))
    try:
        (directory / "line").write_text(first_line_of(evil.path, process.stdout or ()))
        assert eventually(lambda: is_kept(evil.path, directory / "history.db"))
        yield directory
    finally:
        process.terminate()
        assert end(process).code == 0


def is_kept(victim: str, history: Path) -> bool:
    """The history has a thread of its own, and a disk that may be slow."""
    with closing(sqlite3.connect(history)) as db:
        rows = db.execute("SELECT document FROM events").fetchall()
    return any(json.loads(document)["victim"] == victim for (document,) in rows)


def first_line_of(victim: str, lines: Iterable[str]) -> str:
    return next(line for line in lines if json.loads(line)["victim"] == visible(victim))


def test_the_journal_gets_one_plain_line(place: Path, evil: Group) -> None:
    line = (place / "line").read_text()
    assert line.isascii()
    assert_plain(line)
    event = json.loads(line)
    assert (event["victim"], event["cause"], event["suspects"]) == (visible(evil.path), "throttled", [])


def test_a_scraper_can_read_it(place: Path, evil: Group) -> None:
    def is_there() -> bool:
        labels = {dict(labels).get("cgroup") for _, labels in parsed(read(f"unix:{place}/metrics.sock")[1])}
        return for_terminal(evil.path) in labels

    assert eventually(is_there)


@pytest.mark.parametrize(
    ("form", "shown"),
    [("text", r"owned\x07\x1b[31m\u202e"), ("json", r"\u001b[31m\u202e"), ("md", ""), ("html", "")],
)
def test_its_history_can_be_shown(place: Path, evil: Group, form: str, shown: str) -> None:
    history = str(place / "history.db")
    pattern = f"{evil.path.partition(_WORST)[0]}*"
    words = ("--history-file", history, "--since", "1h", "--cgroup", pattern, "-f", form)
    ended = run("report", *words)
    assert_harmless(ended, shown)
    assert_inactive(ended.out, form)
    if form == "json":
        document = json.loads(ended.out)
        assert visible(evil.path) in {cgroup["path"] for cgroup in document["cgroups"]}
        assert visible(evil.path) in {episode["event"]["victim"] for episode in document["events"]}


def test_it_can_be_asked_about(place: Path, evil: Group) -> None:
    asked = ("--at", "now", "-d", "600", "--history-file", str(place / "history.db"))
    assert_harmless(run("blame", evil.path, *asked), r"\x1b[31m\u202e")
