"""How a run went, told by the one line that it prints at its end."""

import re
from pathlib import Path

from tests.vm.errors import VmError

_PANIC = re.compile(r"Kernel panic.*|BUG: .*|.*init: no .*")


def judge(what: str, log: Path, nonce: str, *, timed_out_after_s: float | None = None) -> None:
    """Return when the marker line says 0.

    Raises:
        VmError: It says another code, or is not there: the guest panicked, hung, or never came so far.
    """
    text = log.read_text(errors="replace").replace("\r", "")
    marker = re.search(rf"^jostle-vm {nonce} exit (\d+)$", text, re.MULTILINE)
    if marker is not None:
        if marker[1] != "0":
            raise VmError(f"{what}: failed with code {marker[1]}", log)
        return
    if timed_out_after_s is not None:
        raise VmError(f"{what}: not at its end after {timed_out_after_s:g} s", log)
    panic = _PANIC.search(text)
    raise VmError(f"{what}: ended before its end: {panic[0].strip() if panic else _last_line(text)}", log)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return f"its last words were {lines[-1].strip()!r}" if lines else "it said nothing"
