"""What the commands of a trial print: where it goes, how much of it is read, and how much is kept."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Of a command's output, which a chatty one makes endless, the figure is looked for in the end, and as much is kept.
OUTPUT_LIMIT = 4 << 20
KEPT_BEGINNING = 64 << 10


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the commands of a trial write."""

    raw: Path

    def out(self, stem: str) -> Path:
        """The file for what one command writes to standard output."""
        return self.raw / f"{stem}.stdout"

    def err(self, stem: str) -> Path:
        """The file for what one command writes to standard error."""
        return self.raw / f"{stem}.stderr"

    def of(self, stem: str) -> list[Path]:
        """Every output of a trial: the victim's and its neighbours'."""
        return [
            path
            for path in self.raw.iterdir()
            if path.name.startswith(stem) and path.suffix in (".stdout", ".stderr")
        ]


def bound(path: Path) -> None:
    """Keep the first KEPT_BEGINNING bytes of a command's output, a line on what was left out, and the last whole lines.

    The file is changed in place and holds a little over 4 MiB at most; a shorter one is left alone, and so is what is
    not a regular file of that name. Its command must have ended.
    """
    with contextlib.suppress(OSError), _opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size <= KEPT_BEGINNING + OUTPUT_LIMIT:
            return
        file.seek(size - OUTPUT_LIMIT)
        data = file.read(OUTPUT_LIMIT)
        ending = data.partition(b"\n")[2] or data
        file.seek(KEPT_BEGINNING)
        file.write(b"\n[%d bytes left out by jostle]\n" % (size - KEPT_BEGINNING - len(ending)))
        file.write(ending)
        file.truncate()


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b")


def end_of(path: Path, limit: int = OUTPUT_LIMIT) -> str:
    """The text of a file; of one longer than `limit` bytes the last whole lines within them."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read(limit)
    whole = data if size <= limit else data.partition(b"\n")[2]
    return whole.decode("utf-8", errors="replace")
