"""What goes wrong in a run, as one line."""

from pathlib import Path


class VmError(Exception):
    """A guest or container that could not be built, did not run or did not pass; names the log to read."""

    def __init__(self, what: str, log: Path | None = None) -> None:
        super().__init__(what if log is None else f"{what}; log: {log}")
