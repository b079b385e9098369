"""What the kernel says, and what is made of it."""

import errno
import os
from pathlib import Path

import pytest

from probes import errors
from probes.errors import locked_down, refusal_in

LOCKED = "none integrity [confidentiality]\n"


@pytest.mark.parametrize(
    ("number", "exit_code", "remedy"),
    [
        (errno.EMFILE, 1, "ulimit -n"),
        (errno.ENFILE, 1, "ulimit -n"),
        (errno.ENOMEM, 1, "free memory"),
        (errno.EPERM, 3, "CAP_BPF"),
        (errno.EACCES, 3, "CAP_BPF"),
        (errno.EINVAL, 1, "report this"),
    ],
)
def test_each_refusal_has_its_exit_code_and_what_helps(
    number: int, exit_code: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "LOCKDOWN", tmp_path / "none")
    found = errors.refusal("attaching", OSError(number, os.strerror(number)))
    assert found.exit_code == exit_code
    assert str(found).startswith("attaching ")
    assert os.strerror(number) in found.message
    assert remedy in (found.remedy or "")


def test_what_lockdown_forbids_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What bpf(2) returns under lockdown, with the file in which the kernel says so.
    monkeypatch.setattr(errors, "LOCKDOWN", tmp_path / "lockdown")
    errors.LOCKDOWN.write_text(LOCKED)
    found = errors.refusal("attaching", OSError(errno.EPERM, os.strerror(errno.EPERM)))
    assert found.exit_code == 3
    assert "locked down (confidentiality)" in str(found)


@pytest.mark.parametrize(
    ("text", "locked"),
    [("[none] integrity confidentiality\n", False), (LOCKED, True), ("", False), ("what?", False)],
)
def test_the_state_of_lockdown_is_the_word_in_brackets(text: str, locked: bool, tmp_path: Path) -> None:  # noqa: FBT001  a fact
    (tmp_path / "lockdown").write_text(text)
    assert (locked_down(tmp_path / "lockdown") is not None) == locked
    assert locked_down(tmp_path / "no such file") is None


def test_a_message_is_known_by_the_words_of_its_error() -> None:
    known = refusal_in("making maps", f"could not open bpf map: rows, error: {os.strerror(errno.EPERM)}")
    assert known is not None
    assert known.exit_code == 3
    assert refusal_in("making maps", "syntax error in line 3") is None
