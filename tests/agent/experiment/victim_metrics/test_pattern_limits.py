"""A pattern that would take for ever ends, and so does the program that it runs in."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.experiment import last_match
from agent.experiment.victim_metrics import parse_spec, read_metrics
from probes.errors import UsageError
from probes.isolated import python


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+b", "a" * 60),  # exponential in 60 characters
        (r"(\s+)$", " " * 1_000_000 + "x"),  # quadratic
        ("(x|x)*y", "x" * 60),
    ],
)
def test_a_pattern_without_end_is_told_and_ended(pattern: str, text: str) -> None:
    with pytest.raises(
        UsageError, match=r"took more than 2 s or 1 GiB on .* characters.*avoid repeats within"
    ):
        read_metrics(parse_spec(f"x={pattern}:lower"), text, "")


def test_the_search_ends_without_a_parent_to_end_it() -> None:
    search = subprocess.Popen(python(last_match.__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert search.stdin is not None
    search.stdin.write(json.dumps("(a+)+b").encode() + b"\n" + b"a" * 60)
    search.stdin.close()
    with search:
        assert search.wait(60) == -signal.SIGXCPU or search.returncode == -signal.SIGKILL


def test_signals_are_heard_while_a_pattern_is_searched() -> None:
    code = (
        "import signal, sys\n"
        f"sys.path.insert(0, {str(Path.cwd())!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "from agent.experiment.victim_metrics import parse_spec, read_metrics\n"
        "print('searching', flush=True)\n"
        "read_metrics(parse_spec('x=(a+)+b:lower'), 'a' * 60, '')\n"
    )
    asked = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert asked.stdout is not None
    assert asked.stdout.readline() == b"searching\n"
    asked.terminate()
    with asked:
        assert asked.wait(60) == 7


def test_a_text_of_megabytes_is_searched_to_its_end() -> None:
    text = "x: 1\n" * 800_000 + "x: 5\n"
    assert read_metrics(parse_spec(r"x=^x: (\d+)$:lower"), text, "")[0].value == 5


def test_where_the_last_match_lies() -> None:
    assert last_match.last_match("a(.)", "a1 a2 b") == (4, 5)
    assert last_match.last_match("a(.)|b", "a1 b") == (1, 2)  # the group took no part in the last
    assert last_match.last_match("^(.)$", "1\n2\n") == (2, 3)
    assert last_match.last_match("c(.)", "a1") is None
