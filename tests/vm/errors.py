"""What goes wrong in a run: one line, and the end of what was said meanwhile."""

from pathlib import Path

_LAST_LINES = 40


class VmError(Exception):
    """A guest or container that could not be built, did not run or did not pass; names the log to read."""

    def __init__(self, what: str, log: Path | None = None) -> None:
        super().__init__(what if log is None else f"{what}; log: {log}")
        self._log = log

    def last_lines(self) -> str:
        """The end of the log, for a reader who cannot open it: of a run in CI nothing else is left."""
        if self._log is None or not self._log.is_file():
            return ""
        lines = self._log.read_text(errors="replace").replace("\r", "").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
