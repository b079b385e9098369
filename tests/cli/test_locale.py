"""What a terminal shows that has no UTF-8, no colours, or another width than it says."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from reports import json_document
from tests.cli.running import JOSTLE, ROOT
from tests.reports.samples import VERDICTS

SETTINGS = ("LC_ALL", "LANG", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING", "COLUMNS", "TERM", "NO_COLOR")

ALIKE = str.maketrans({"─": "-", "█": "#", "░": ".", "−": "-", "→": "->", "×": "x", "µ": "u"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "verdict.json"
    verdict = next(iter(VERDICTS.values()))
    path.write_text(json_document.render_verdict(verdict))
    return path


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def printed(*words: str, **settings: str) -> bytes:
    return subprocess.run(
        [*JOSTLE, *words], capture_output=True, check=True, env=environment(**settings)
    ).stdout


def on_a_terminal(*words: str, **settings: str) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen([*JOSTLE, *words], stdout=theirs, stdin=theirs, env=environment(**settings)):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # EIO: the other end is closed
            pass
    os.close(ours)
    return shown


def test_without_utf_8_what_is_drawn_is_ascii_of_the_same_width(file: Path) -> None:
    plain, full = (printed("report", str(file), LC_ALL=name) for name in ("C", "C.UTF-8"))
    assert plain.isascii()
    assert not full.isascii()
    assert b"\\u" not in plain
    assert b"\n  -----" in plain
    assert [line.translate(ALIKE) for line in full.decode().splitlines()] == (plain.decode().splitlines())


def test_a_document_is_utf_8_whatever_the_terminal_has(file: Path) -> None:
    for form in ("md", "html"):
        assert printed("report", str(file), "-f", form, LC_ALL="C") == printed(
            "report", str(file), "-f", form, LC_ALL="C.UTF-8"
        )


def test_who_asks_python_for_utf_8_gets_it(file: Path) -> None:
    assert not printed("report", str(file), LC_ALL="C", PYTHONIOENCODING="utf-8").isascii()


def test_a_message_without_utf_8_is_ascii() -> None:
    ended = subprocess.run(
        [*JOSTLE, "report", "−µ…é"], capture_output=True, check=False, env=environment(LC_ALL="C")
    )
    assert ended.returncode == 2
    assert b"there is no file -u~\\xe9" in ended.stderr


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_columns_says_how_wide_off_a_terminal_too(file: Path, columns: int) -> None:
    text = printed("report", str(file), LC_ALL="C.UTF-8", COLUMNS=str(columns)).decode()
    widest = max(map(len, text.splitlines()))
    assert columns - 15 < widest <= columns


@pytest.mark.parametrize("columns", ["", "0", "x", "-5", "99999999999"])
def test_columns_that_say_nothing_are_no_failure(file: Path, columns: str) -> None:
    assert printed("report", str(file), COLUMNS=columns)


def test_a_dumb_terminal_gets_no_escapes(file: Path) -> None:
    assert b"\x1b" in on_a_terminal("report", str(file), TERM="xterm")
    assert b"\x1b" not in on_a_terminal("report", str(file), TERM="dumb")
    assert b"\x1b" not in on_a_terminal("report", str(file), TERM="xterm", NO_COLOR="1")
