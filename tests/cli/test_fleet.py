"""`jostle ship` and `jostle fleet` as a user runs them."""

import json
import subprocess
import sys
import time
from pathlib import Path

from agent.documents.fleet import FleetAnswers, Shipped
from benchmarks.fleet_sim import simulate
from tests.agent.fleet.histories import BEGIN_NS, each_minute, history
from tests.cli.running import end, eventually, run, start

HEAVY = {"pyarrow", "duckdb", "ibis", "obstore", "pandas", "chdb", "pyspark"}


def test_what_is_shipped_is_said(tmp_path: Path) -> None:
    path, data = tmp_path / "history.db", str(tmp_path / "data")
    history(path, each_minute(BEGIN_NS, 62))
    words = ("ship", data, "--history-file", str(path), "--label", "pool=a", "--host", "node 1")
    done = run(*words, "--metrics", str(tmp_path / "jostle.prom"), "--json")
    assert done.code == 0, done.err
    assert Shipped.from_document(json.loads(done.out)).windows == 62
    assert "jostle_ship_windows 62" in (tmp_path / "jostle.prom").read_text()
    again = run(*words)
    assert (again.code, again.out) == (0, "")
    assert "shipped 0 hours" in again.err
    assert list(Path(data).glob("v1/cgroups/date=2026-05-28/hour=21/node_1.*.parquet"))


def test_a_host_that_ends_ships_what_there_is(tmp_path: Path) -> None:
    path, data = tmp_path / "history.db", str(tmp_path / "data")
    history(path, [time.time_ns()])
    assert "shipped 0 hours (0 windows" in run("ship", data, "--history-file", str(path)).err
    assert "shipped 1 hours (1 windows" in run("ship", data, "--history-file", str(path), "--partial").err
    assert "shipped 0 hours (0 windows" in run("ship", data, "--history-file", str(path), "--partial").err


def test_it_goes_on_where_nothing_else_starts_it(tmp_path: Path) -> None:
    path, data = tmp_path / "history.db", tmp_path / "data"
    going = start("ship", str(data), "--history-file", str(path), "--every", "200ms")
    assert going.stderr is not None
    assert "there is no history" in going.stderr.readline()
    history(path, each_minute(BEGIN_NS, 62))
    assert eventually(lambda: len(list(data.glob("v1/hosts/*/*/*.parquet"))) == 2)
    going.terminate()
    assert end(going).code != 0


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    for words in (["--label", "x"], ["--history-file", str(tmp_path / "nosuch.db")], ["--every", "soon"]):
        ended = run("ship", str(tmp_path / "data"), *words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_nothing_heavy_is_imported_by_the_daemon_or_a_help_text() -> None:
    for module in ("agent.cli.agent_process", "agent.fleet.ship", "agent.fleet.place"):
        code = f"import sys, {module}; print(*sys.modules)"
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        assert HEAVY & set(loaded) == set(), module
    code = "import sys\nfrom agent.cli import main\ntry: main(['--help'])\nfinally: print('|', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split("|")[-1].split()) == set()


def test_a_question_and_a_review_in_every_form(tmp_path: Path) -> None:
    data = tmp_path / "data"
    simulate(data, hosts=3, hours=1, fillers=1)
    asked = run("fleet", "victims", str(data), "--where", "owner=shop", "--json")
    assert asked.code == 0, asked.err
    found = FleetAnswers.from_document(json.loads(asked.out))
    assert {row["owner"] for row in found.answers[0].rows} == {"shop"}
    page = tmp_path / "review.html"
    assert run("fleet", "review", str(data), "-f", "html", "-o", str(page), "--title", "<b>Q3</b>").code == 0
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "<b>Q3" not in text
    assert all(title in text for title in ("How tightly can we pack?", "Coverage", "To ask again"))
    markdown = run("fleet", "review", str(data), "-f", "md")
    assert markdown.out.startswith("# Fleet review\n")
    done = run("fleet", "compact", str(data))  # its day is long over, or not yet
    assert done.code == 0
    assert bool(list(data.glob("v1/cgroups/*/0*.parquet"))) is ("2026-06-01" in done.err)


def test_bad_questions_are_one_line(tmp_path: Path) -> None:
    for words in (
        ["nosuch", str(tmp_path)],
        ["victims", str(tmp_path)],
        ["victims", str(tmp_path), "--engine", "x"],
    ):
        ended = run("fleet", *words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
