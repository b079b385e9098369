"""docs/first-hour.md: every command was on a screen before, every answer is there and in time; and all of it again."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.first_hour import EXCERPT, LONG_S, PAGE, QUESTIONS, README, was_offered, with_excerpts

CHAPTER = re.compile(r"^## \d\. (?P<title>.*)\n\n(?P<took>\d+) s of (?P<limit>\d+)\.\n", re.MULTILINE)
SCREEN = re.compile(r"^```console\n\$ (.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)


def chapters(page: str) -> list[tuple[re.Match[str], list[tuple[str, str]]]]:
    """Of each question its heading, and its commands with what they printed."""
    heads = list(CHAPTER.finditer(page))
    ends = [*(head.start() for head in heads[1:]), len(page)]
    return [(head, SCREEN.findall(page[head.end() : end])) for head, end in zip(heads, ends, strict=True)]


def answered_in_time(page: str) -> None:
    found = chapters(page)
    assert [head["title"] for head, _ in found] == [question.title for question in QUESTIONS]
    for question, (head, screens) in zip(QUESTIONS, found, strict=True):
        assert float(head["limit"]) == question.limit_s
        assert float(head["took"]) < question.limit_s, question.title
        assert re.search(question.says, " ".join(screens[-1][1].split())), question.title


def commands(page: str) -> list[str]:
    """Without what differs from one hour to the next: times, and directories that are called after them."""
    return [re.sub(r"\d+T\d+Z|\d+:\d+:\d+", "TIME", command) for command, _ in SCREEN.findall(page)]


def test_the_page_answers_each_question_in_time() -> None:
    answered_in_time((ROOT / PAGE).read_text())


def test_no_command_is_on_the_page_that_no_screen_before_had_said() -> None:
    screens: list[str] = []
    for command, text in SCREEN.findall((ROOT / PAGE).read_text()):
        assert was_offered(command, screens), command
        screens.append(text)


def test_a_command_that_no_screen_said_is_told_from_one_that_is() -> None:
    seen = ["jostle blame NAME -d 5", "run\n  jostle report --history\n    --since 03:00"]
    assert was_offered("jostle blame web", seen)
    assert was_offered("jostle report --history --since 05:48:00", seen)
    assert not was_offered("jostle blame web --at 05:48:00", seen)


def test_what_readme_shows_is_what_was_printed() -> None:
    readme, screens = (ROOT / README).read_text(), dict(SCREEN.findall((ROOT / PAGE).read_text()))
    assert len(EXCERPT.findall(readme)) == readme.count("```console")
    assert with_excerpts(readme, screens) == readme
    assert "\nNOW: web suffers" in readme


@pytest.mark.kernel
@pytest.mark.slow
def test_the_hour_is_lived_again(tmp_path: Path) -> None:
    (tmp_path / PAGE).parent.mkdir()
    shutil.copy(ROOT / README, tmp_path)
    words = [sys.executable, "-m", "tests.first_hour", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, timeout=LONG_S)
    page = (tmp_path / PAGE).read_text()
    answered_in_time(page)
    assert commands(page) == commands((ROOT / PAGE).read_text())
