"""Safe readings of kernel files: a plain value, or a `Missing` that says why there is none.

Nothing here raises for what a file holds. A file that cannot be opened, has vanished, is too large, cut off,
binary, negative or beyond 64 bits is `Missing` for that window, never 0.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Key = TypeVar("Key")
    Record = TypeVar("Record", bound=DataclassInstance)

U64_MAX = 2**64 - 1
# The longest file read, /proc/stat, holds some 20 bytes per interrupt and 100 per CPU.
MAX_FILE_BYTES = 4 << 20
PIECE_BYTES = 64 << 10

_DIGITS = re.compile(r"[0-9]{1,20}")
_REASONS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.ENODEV: "vanished while it was read",
    errno.ESRCH: "vanished while it was read",
    errno.EACCES: "may not be read",
    errno.EPERM: "may not be read",
    errno.EOPNOTSUPP: "is not supported here by the kernel",
}
_REMEDIES = {errno.EACCES: "run as root", errno.EPERM: "run as root"}


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no value, and what would fix it (None: nothing that is known)."""

    reason: str
    remedy: str | None = None


def missing_because(path: Path | str, error: OSError | ValueError) -> Missing:
    """An operating system error as a value."""
    if not isinstance(error, OSError) or error.errno is None:
        return Missing(f"{path} cannot be read: {error}")
    reason = _REASONS.get(error.errno, f"cannot be read: {error.strerror}")
    return Missing(f"{path} {reason}", _REMEDIES.get(error.errno))


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str | Missing:
    """A whole file of at most `limit` bytes.

    Bytes that are not UTF-8 become surrogates, as in `os.fsdecode`: paths survive, and no number parses.
    """
    try:
        content = _read(path, limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        return missing_because(path, error)
    if len(content) > limit:
        return Missing(f"{path} is larger than {limit} bytes")
    return content.decode("utf-8", "surrogateescape")


def _read(path: Path, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        # In pieces: some files under /proc/sys refuse a read(2) of megabytes with ENOMEM.
        while len(content) < limit and (piece := os.read(descriptor, PIECE_BYTES)):
            content += piece
    finally:
        os.close(descriptor)
    return content[:limit]


def read_lines(path: Path) -> list[str] | Missing:
    """The complete lines of a file.

    The kernel ends every line, so a last line without an end was cut off and is left out.
    """
    text = read_text(path)
    return text if isinstance(text, Missing) else text.split("\n")[:-1]


def names_in(folder: Path) -> list[str]:
    """The names in a directory, in order; none if it cannot be listed."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (OSError, ValueError):
        return []


def numbered(folder: Path, prefix: str) -> dict[int, Path]:
    """The entries of a directory that are called `prefix` and a number (`cpu0`), by that number, in order."""
    names = (name for name in names_in(folder) if name.startswith(prefix))
    found = {parse_count(name.removeprefix(prefix)): folder / name for name in names}
    return {number: found[number] for number in sorted(number for number in found if number is not None)}


def parse_count(text: str) -> int | None:
    """An unsigned 64-bit decimal as the kernel prints it; None for anything else (`-1`, `1_0`, `max`)."""
    if _DIGITS.fullmatch(text) is None:
        return None
    value = int(text)
    return value if value <= U64_MAX else None


def read_count(path: Path) -> int | Missing:
    """The one unsigned number that a file holds."""
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    value = parse_count(text.strip())
    return value if value is not None else Missing(f"{path} does not hold a number: {excerpt(text)}")


def scaled(value: int | Missing, factor: int) -> int | Missing:
    """A reading in another unit; a missing one stays missing."""
    return value if isinstance(value, Missing) else value * factor


def delta(before: int | Missing, after: int | Missing) -> int | Missing:
    """What a counter counted between two readings; a counter that went backwards was reset and is missing."""
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    if after < before:
        return Missing(f"the counter went back from {before} to {after}: it was reset within the window")
    return after - before


def since(before: "Record", after: "Record") -> "Record":
    """`delta` of every field of a record that holds nothing but counters."""
    names = (field.name for field in fields(after))
    return replace(after, **{name: delta(getattr(before, name), getattr(after, name)) for name in names})


def since_by_key(before: "Mapping[Key, Record]", after: "Mapping[Key, Record]") -> "dict[Key, Record]":
    """`since` for every key that both readings have."""
    return {key: since(before[key], record) for key, record in after.items() if key in before}


def missing_in(value: object) -> Iterator[Missing]:
    """Every `Missing` inside a record, however deeply nested: to count them, or to say why."""
    if isinstance(value, Missing):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from missing_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from missing_in(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from missing_in(getattr(value, field.name))


def excerpt(text: str, length: int = 40) -> str:
    """The beginning of a file's content, harmless to print in a message."""
    return ascii(text[:length]) + ("…" if len(text) > length else "")
