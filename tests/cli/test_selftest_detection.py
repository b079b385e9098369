"""`jostle selftest --detection` as its users run it."""

import json
import signal
from pathlib import Path

import pytest

from agent.documents.selftest_detection import DetectionSelftest
from tests.agent.selftest.told import selftest
from tests.cli.running import cgroups_of, end, eventually, is_one_line, left_behind, run, start


def test_the_list_needs_no_privilege_and_runs_nothing() -> None:
    ended = run("selftest", "--detection", "--list", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["schema"]) == (0, "jostle.episodes/1")
    assert {"neighbours", "throttled", "own-doing", "nothing"} == {
        each["expects"] for each in document["episodes"]
    }
    assert "ramp" in run("selftest", "--detection", "--list", "--scenario", "ramp").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scenario", "nonsense"), "there is no episode 'nonsense'"),
        (("--bystander",), "--bystander and --nothing are not for --detection"),
        (("--nothing", "3"), "--bystander and --nothing are not for --detection"),
    ],
)
def test_bad_usage(words: tuple[str, ...], told: str) -> None:
    ended = run("selftest", "--detection", *words)
    assert ended.code == 2
    assert told in ended.err
    assert is_one_line(ended.err)


@pytest.mark.kernel
def test_interrupted_it_keeps_what_it_has_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    process = start("selftest", "--detection", "--scenario", "crowd", "--repeat", "2", "-o", str(file))
    assert process.stderr is not None
    assert process.stderr.readline().startswith("1/2 crowd and crowd: for ")
    assert eventually(lambda: len(cgroups_of(process.pid)) > 0)
    process.send_signal(signal.SIGTERM)
    ended = end(process)
    assert ended.code == 130
    assert "SELF-TEST OF DETECTION (PARTIAL): 0 of 2 episodes" in ended.out
    document = DetectionSelftest.from_document(json.loads(file.read_text()))
    assert (document.partial, document.findings) == (True, ())
    assert left_behind(ended) == []


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_document_is_rendered_again(tmp_path: Path, form: str) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps(selftest().to_document()))
    ended = run("report", str(file), "-f", form)
    assert (ended.code, ended.err) == (0, "")
    assert "false alarms" in ended.out


def test_a_damaged_document_or_another_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps({**selftest().to_document(), "scores": 1}))
    ended = run("report", str(file))
    assert ended.code == 2
    assert "no self-test that can be read" in ended.err
    file.write_text(json.dumps(selftest().to_document()))
    other = run("selftest", "--resume", str(file))
    assert (other.code, is_one_line(other.err)) == (2, True)
    assert "is no self-test" in other.err
