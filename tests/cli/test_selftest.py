"""`jostle selftest` as its users run it."""

import json
import signal
from pathlib import Path

import pytest

from agent.documents.selftest import Selftest
from tests.agent.selftest.findings import selftest
from tests.cli.running import Ended, end, is_one_line, left_behind, run, start


def test_the_list_needs_no_privilege_and_runs_nothing() -> None:
    ended = run("selftest", "--list", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["schema"]) == (0, "jostle.scenarios/1")
    assert {"interference", "self-inflicted", "no-interference"} == {
        each["verdict"] for each in document["scenarios"]
    }
    assert "sleeper" in run("selftest", "--list", "--scenario", "sleeper").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scenario", "nonsense"), "there is no scenario 'nonsense'"),
        (("--repeat", "0"), "--repeat"),
        (("--seed", "x"), "--seed"),
    ],
)
def test_bad_usage(words: tuple[str, ...], told: str) -> None:
    ended = run("selftest", *words)
    assert ended.code == 2
    assert told in ended.err
    assert is_one_line(ended.err)


@pytest.mark.kernel
def test_a_scenario_end_to_end(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    words = ("--scenario", "own-service", "--repeat", "1", "--seed", "3")
    process = start("selftest", *words, "--json", "-o", str(file))
    out, err = process.communicate()  # up to 25 trials, which take their time on a busy machine
    ended = Ended(process.pid, process.returncode, out, err)
    assert ended.code == 0, err
    assert file.read_text() == out
    document = Selftest.from_document(json.loads(out))
    assert (document.partial, document.planned, document.seed) == (False, 1, 3)
    assert [(finding.scenario, finding.error) for finding in document.findings] == [("own-service", None)]
    assert ended.err.startswith("1/1 own-service: ")
    assert left_behind(ended) == []


@pytest.mark.kernel
def test_interrupted_it_keeps_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    process = start("selftest", "--scenario", "spin", "--repeat", "50", "-o", str(file))
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("1/50 spin: ")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert "SELF-TEST (PARTIAL)" in ended.out
    document = Selftest.from_document(json.loads(file.read_text()))
    assert document.partial
    assert 1 <= len(document.findings) < document.planned
    assert left_behind(ended) == []


@pytest.mark.kernel
def test_beside_a_bystander_and_gone_on_with(tmp_path: Path) -> None:
    """What is left of it after a break is run, and nothing of the bystander is left."""
    file = tmp_path / "selftest.json"
    process = start("selftest", "--scenario", "spin", "--repeat", "2", "--bystander", "-o", str(file))
    assert process.stderr is not None
    assert process.stderr.readline().startswith("1/2 spin: ")
    process.send_signal(signal.SIGINT)
    assert end(process).code == 130
    ended = run("selftest", "--resume", str(file), "--json")
    assert ended.code == 0
    document = Selftest.from_document(json.loads(file.read_text()))
    assert (document.partial, document.bystander, len(document.findings)) == (False, True, 2)
    assert document.trial_noise_pct is not None
    assert ended.err.startswith("2/2 spin: ")
    again = run("selftest", "--resume", str(file))
    assert again.code == 2
    assert is_one_line(again.err)
    assert left_behind(ended) == []


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_document_is_rendered_again(tmp_path: Path, form: str) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps(selftest().to_document()))
    ended = run("report", str(file), "-f", form)
    assert (ended.code, ended.err) == (0, "")
    assert "true positives" in ended.out


def test_a_damaged_document_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps({**selftest().to_document(), "rates": 1}))
    ended = run("report", str(file))
    assert ended.code == 2
    assert "no self-test that can be read" in ended.err
    assert is_one_line(ended.err)
