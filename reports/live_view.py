"""What the person at the keyboard wants to see (order, filter, pause), and how keys change it.

It does not import rich, so that `jostle top --once` does without.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from agent.documents.top import LiveRow, Sort

LONGEST_FILTER = 60
# What terminals send, in normal and in application mode; the longest first.
_NAMED = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page-up",
    b"\x1b[6~": "page-down",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x1b": "escape",
    b"\x04": "q",  # Ctrl-D
}
_UNKNOWN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)", re.DOTALL)


class ViewMode(Enum):
    """What keys mean."""

    COMMANDS = auto()
    FILTER = auto()  # they are typed into the filter
    QUIT = auto()


@dataclass(frozen=True, slots=True)
class View:
    """What is wanted now. `first` is the row at the top."""

    sort: Sort = Sort.LOST
    filter: str = ""
    paused: bool = False
    first: int = 0
    mode: ViewMode = ViewMode.COMMANDS

    def pressed(self, key: str, page: int, rows: int) -> "View":
        """The view after a key, of `rows` rows with room for `page` of them. Unknown keys change nothing."""
        if self.mode is ViewMode.FILTER:
            return self._typed(key)
        after = self._commanded(key, page)
        return replace(after, first=max(0, min(after.first, rows - page)))

    def shows(self, row: LiveRow) -> bool:
        """Whether the filter lets a row through: it is part of the path or of the name, in either case."""
        wanted = self.filter.casefold()
        return wanted in row.cgroup.casefold() or wanted in row.name.casefold()

    def _commanded(self, key: str, page: int) -> "View":
        sorts = list(Sort)
        place = sorts.index(self.sort)
        scrolled = {"up": -1, "down": 1, "k": -1, "j": 1, "page-up": -page, "page-down": page}
        changes: dict[str, dict[str, Any]] = {
            "q": {"mode": ViewMode.QUIT},
            "s": {"sort": sorts[(place + 1) % len(sorts)], "first": 0},
            "S": {"sort": sorts[place - 1], "first": 0},
            " ": {"paused": not self.paused},
            "/": {"mode": ViewMode.FILTER, "filter": "", "first": 0},
            "escape": {"filter": "", "first": 0},
            "home": {"first": 0},
        }
        return replace(self, **changes.get(key, {"first": self.first + scrolled.get(key, 0)}))

    def _typed(self, key: str) -> "View":
        match key:
            case "enter":
                return replace(self, mode=ViewMode.COMMANDS)
            case "escape":
                return replace(self, mode=ViewMode.COMMANDS, filter="")
            case "backspace":
                return replace(self, filter=self.filter[:-1])
        typed = self.filter + key if len(key) == 1 and key.isprintable() else self.filter
        return replace(self, filter=typed[:LONGEST_FILTER])


def keys(read: bytes) -> Iterator[str]:
    """The keys in what a terminal sent: names as in `_NAMED`, else characters."""
    while read:
        known = next((sent for sent in sorted(_NAMED, key=len, reverse=True) if read.startswith(sent)), None)
        unknown = _UNKNOWN.match(read)
        if unknown and (known is None or len(unknown[0]) > len(known)):
            read = read[unknown.end() :]
        elif known is not None:
            yield _NAMED[known]
            read = read[len(known) :]
        else:
            length = _utf8_length(read[0])
            yield read[:length].decode(errors="replace")
            read = read[length:]


def _utf8_length(first: int) -> int:
    """Bytes of the character that begins so (RFC 3629)."""
    return 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
