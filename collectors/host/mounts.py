"""The mount points that this process sees.

Source: proc_pid_mountinfo(5).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from collectors.host.readings import Missing, read_lines

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system.

    Attributes:
        point: Where it is mounted, below the root that was given.
        top: Which of its directories the mount shows, `/` for all of it.
        kind: The file system's type.
        options: The options of the file system itself: for cgroup v1, its controllers.
    """

    point: Path
    top: str
    kind: str
    options: frozenset[str]


def read_mounts(root: Path = Path("/"), process: str = "self") -> list[Mount] | Missing:
    """What a process sees mounted, in order; of several mounts on one point, the last, which hides the others."""
    lines = read_lines(root / "proc" / process / "mountinfo")
    if isinstance(lines, Missing):
        return lines
    on_point = {mount.point: mount for line in lines if (mount := _parse(line, root)) is not None}
    return list(on_point.values())


def _parse(line: str, root: Path) -> Mount | None:
    # ID PARENT MAJOR:MINOR TOP POINT OPTIONS [TAG…] - TYPE SOURCE SUPER_OPTIONS
    head, separator, tail = line.partition(" - ")
    front, back = head.split(" "), tail.split(" ")
    if not separator or len(front) < 6 or len(back) < 3 or not front[4].startswith("/"):
        return None
    point = root / _unescape(front[4]).lstrip("/")
    return Mount(point, _unescape(front[3]), back[0], frozenset(back[2].split(",")))


def _unescape(text: str) -> str:
    r"""Undo the octal escapes (`\040`) by which mountinfo writes space, tab, newline and backslash."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
