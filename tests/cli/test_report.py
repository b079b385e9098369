"""`jostle report` and `jostle compare` on good files and on everything else."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.documents.summary import RunSummary
from agent.documents.verdict import Verdict
from agent.store.run_file import RunWriter, pack
from collectors.windows.sched import CgroupWindow
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, window
from tests.agent.documents.verdicts import CONTRACT_EXAMPLE
from tests.cli.running import JOSTLE, ROOT, is_one_line, run

QUIET, HINDERED = cgroup(0.5, {OTHER: 0.005}), cgroup(0.5, {OTHER: 0.005, NEIGHBOUR: 0.4})


def recorded(path: Path, victim: CgroupWindow = QUIET, windows: int = 4, *, finished: bool = True) -> Path:
    with RunWriter(path, {"host": pack(HOST), "tier": "ebpf"}) as writer:
        for number in range(windows):  # no two windows are quite alike
            writer.append(window(replace(victim, run_ns=victim.run_ns + 1_000_000 * number)))
        if finished:
            writer.finish()
    return path if finished else path.with_name(f"{path.name}.partial")


def concluded(directory: Path) -> Path:
    (directory / "verdict.json").write_text(json.dumps(CONTRACT_EXAMPLE))
    return directory


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_verdict_is_rendered_in_every_form(tmp_path: Path, form: str) -> None:
    ended = run("report", str(concluded(tmp_path)), "-f", form)
    assert (ended.code, ended.err) == (0, "")
    assert "57.8" in ended.out


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_recording_is_rendered_in_every_form(tmp_path: Path, form: str) -> None:
    ended = run("report", str(recorded(tmp_path / "a.run")), "-f", form)
    assert (ended.code, ended.err) == (0, "")
    assert VICTIM.rpartition("/")[2] in ended.out


def test_title_and_note_of_a_recording_are_kept_and_can_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    with RunWriter(
        path, {"host": pack(HOST), "tier": "ebpf", "title": "Before", "note": "quiet night"}
    ) as writer:
        writer.append(window(QUIET))
        writer.finish()
    kept = json.loads(run("report", str(path), "-f", "json").out)
    assert (kept["title"], kept["note"]) == ("Before", "quiet night")
    again = run("report", str(path), "-f", "md", "--title", "After [it](x)")
    assert again.out.startswith(r"# After \[it\](x): Recording")
    assert "quiet night" in again.out
    verdict = json.loads(run("report", str(concluded(tmp_path)), "-f", "json", "--note", "<b>").out)
    assert verdict["note"] == "<b>"


def test_json_is_the_document_again(tmp_path: Path) -> None:
    ended = run("report", str(concluded(tmp_path)), "-f", "json")
    assert Verdict.from_document(json.loads(ended.out)) == Verdict.from_document(CONTRACT_EXAMPLE)


def test_what_a_killed_recording_left_is_rendered_as_partial(tmp_path: Path) -> None:
    partial = recorded(tmp_path / "a.run", finished=False)
    ended = run("report", str(partial), "-f", "json")
    assert RunSummary.from_document(json.loads(ended.out)).partial
    assert "partial" in run("report", str(partial)).out.lower()


def test_a_report_goes_to_a_file_and_nowhere_else(tmp_path: Path) -> None:
    ended = run("report", str(concluded(tmp_path)), "-f", "md", "-o", str(tmp_path / "new/review.md"))
    assert (ended.code, ended.out) == (0, "")
    assert "57.8" in (tmp_path / "new/review.md").read_text()


def test_two_recordings_give_a_verdict(tmp_path: Path) -> None:
    quiet, busy = recorded(tmp_path / "q.run"), recorded(tmp_path / "b.run", HINDERED)
    ended = run(
        "compare", str(quiet), str(busy), "--cgroup", VICTIM, "--json", "-o", str(tmp_path / "v.json")
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (tmp_path / "v.json").read_text()
    assert json.loads(ended.out)["aggressors"][0]["cgroup"] == NEIGHBOUR
    assert run("report", str(tmp_path / "v.json")).code == 0


def test_single_windows_are_compared_without_a_conclusion(tmp_path: Path) -> None:
    quiet, busy = recorded(tmp_path / "q.run", windows=1), recorded(tmp_path / "b.run", HINDERED, windows=1)
    ended = run("compare", str(quiet), str(busy), "--cgroup", VICTIM, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["verdict"] == "inconclusive"


def nothing(path: Path) -> None:
    """There is no such file."""


def empty_directory(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def text(content: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_text(content)

    return make


def truncated(path: Path) -> None:
    recorded(path)
    path.write_bytes(path.read_bytes()[:5000])


def from_the_future(path: Path) -> None:
    text(json.dumps({**CONTRACT_EXAMPLE, "schema": "jostle.verdict/2"}))(path)


def incomplete(path: Path) -> None:
    text(json.dumps({**CONTRACT_EXAMPLE, "effect": {}}))(path)


BAD = [
    nothing,
    empty_directory,
    fifo,
    truncated,
    from_the_future,
    incomplete,
    *(
        text(content)
        for content in ("", "hello\n", "{", '{"a": 1}', '{"a": ' + "[" * 10**5, '{"schema": "jostle.run/1"}')
    ),
]


@pytest.mark.parametrize("make", BAD)
def test_what_cannot_be_read_is_one_line_and_bad_input(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "input"
    make(path)
    ended = run("report", str(path))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert str(path) in ended.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--cgroup PATH; those that waited longest: /jostle-1/victim"),
        (["--cgroup", "/none"], "there is no cgroup /none in the first recording"),
        (["--cgroup", VICTIM, "--threshold", "0"], "--threshold 0"),
    ],
)
def test_recordings_that_do_not_answer_are_bad_input(tmp_path: Path, words: list[str], named: str) -> None:
    path = str(recorded(tmp_path / "a.run"))
    ended = run("compare", path, path, *words)
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert named in ended.err


def test_compare_takes_no_text_for_a_recording(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    ended = run("compare", str(recorded(tmp_path / "a.run")), str(tmp_path / "a.txt"))
    assert ended.code == 2
    assert "a.txt is not a run file" in ended.err


def piped(command: str, path: Path) -> "subprocess.CompletedProcess[str]":
    script = f'"$@" report {path} {command}'
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", script, "jostle", *JOSTLE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    done = piped("-f html | head -c 1", concluded(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "<", "")


def test_a_full_standard_output_is_a_failure_in_one_line(tmp_path: Path) -> None:
    done = piped(">/dev/full", concluded(tmp_path))
    assert done.returncode == 1
    assert is_one_line(done.stderr)


def test_closed_outputs_change_nothing(tmp_path: Path) -> None:
    done = piped(">&- 2>&-", concluded(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
