"""A window as one value: its record written by msgspec and packed by zlib, and back.

A row for each cgroup and figure took as much room, eleven tables and four times the code. zlib's checksum finds a
single wrong bit; msgspec checks every type.
"""

import json
import sqlite3
import zlib
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from collectors.windows.figures import SCHED_FIGURES, CgroupFigures
from collectors.windows.sched import SchedWindow
from probes.layout import NR_BUCKETS

DAMAGE = (
    *(sqlite3.Error, zlib.error, msgspec.MsgspecError),
    *(LookupError, TypeError, ValueError, OverflowError, RecursionError),
)
"""What reading a damaged file raises, anywhere in this package."""

# Level 1 takes 0.07 ms where level 6 takes 0.11, for 5 % more.
_LEVEL = 1
# 5,000 idle cgroups that differ in their number alone are packed to a thirtieth, zeros to a thousandth.
_FREE_BYTES, _LARGEST_RATIO = 2 << 20, 40
_COUNTERS = attrgetter(*(spec.name for spec in SCHED_FIGURES))


class Allowance:
    """How many bytes the windows of a file may still be unpacked to; a file of `size_bytes` bytes can hold no more."""

    def __init__(self, size_bytes: int) -> None:
        """Begin."""
        self._left = _FREE_BYTES + _LARGEST_RATIO * size_bytes

    def unzip(self, packed: bytes) -> bytes:
        """What zlib packed.

        Raises:
            ValueError: It is cut off, or larger than all that is left.
        """
        unzipped = zlib.decompressobj()
        content = unzipped.decompress(packed, self._left + 1)
        self._left -= len(content)
        if self._left < 0 or not unzipped.eof:
            raise ValueError("a window is cut off, or larger than any that was written")
        return content


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """A window, and which figures each of its cgroups has: a later jostle may know more of them.

    A tenant's name that is not UTF-8 can only be said in Python's own JSON: then the window is such a text.
    """

    figures: tuple[str, ...]
    is_json: bool
    window: msgspec.Raw


_WINDOW = msgspec.msgpack.Decoder(SchedWindow)
_PACKED = msgspec.msgpack.Decoder(_Packed)


def pack_window(window: SchedWindow) -> bytes:
    """A window as bytes.

    Raises:
        OverflowError: A figure has more than 64 bits.
    """
    is_json = False
    try:
        written = msgspec.msgpack.encode(window)
    except UnicodeEncodeError:
        is_json = True
        written = msgspec.msgpack.encode(json.dumps(msgspec.to_builtins(window, str_keys=True)))
    packed = _Packed(CgroupFigures._fields, is_json, msgspec.Raw(written))
    return zlib.compress(msgspec.msgpack.encode(packed), _LEVEL)


def unpack_window(packed: object, left: Allowance | None = None) -> SchedWindow:
    """The window that `pack_window` packed; a figure that was not known then is None.

    `left` is what its file's windows may be unpacked to; without one, what a file of this window could.

    Raises:
        One of DAMAGE: It packed no such thing.
    """
    return _window(_unzipped(packed, left))


def unpack_parts(packed: object, parts: msgspec.msgpack.Decoder[Any], left: Allowance) -> Any:  # noqa: ANN401
    """What `parts` takes of a window, which costs less than the whole; the whole where it was packed in another form.

    What it takes it must check itself: that no count is negative, and how many buckets a histogram has.

    Raises:
        One of DAMAGE: It packed no such thing.
    """
    found = _unzipped(packed, left)
    return parts.decode(found.window) if _is_plain(found) else _window(found)


def _unzipped(packed: object, left: Allowance | None) -> _Packed:
    if not isinstance(packed, bytes):
        raise TypeError("a window is not a blob")
    return _PACKED.decode((left or Allowance(len(packed))).unzip(packed))


def _is_plain(packed: _Packed) -> bool:
    return not packed.is_json and packed.figures == CgroupFigures._fields


def _window(found: _Packed) -> SchedWindow:
    window = _WINDOW.decode(found.window) if _is_plain(found) else _converted(found)
    if _least(window) < 0:
        raise ValueError("a count is negative")
    if any(len(cgroup.histogram) != NR_BUCKETS for cgroup in window.cgroups.values()):
        raise ValueError("a histogram has other buckets")
    return window


def _converted(packed: _Packed) -> SchedWindow:
    found: Any = msgspec.msgpack.decode(packed.window)
    if packed.is_json:
        found = json.loads(found)
    cgroups = (found.get("signals") or {}).get("cgroups", {})
    for path, row in cgroups.items():
        known = dict(zip(packed.figures, row, strict=True))
        cgroups[path] = tuple(known.get(name) for name in CgroupFigures._fields)
    return msgspec.convert(found, SchedWindow, str_keys=True)


def _least(window: SchedWindow) -> float:
    """The least of all figures; none is ever negative. By min over whole rows: 1 ms where a loop takes 3."""
    cgroups = window.cgroups.values()
    figures = [
        *(window.duration_ns, window.untracked, window.impossible),
        *(min(row) for cgroup in cgroups for row in (_COUNTERS(cgroup), cgroup.histogram)),
        *(figure for cgroup in cgroups for wait in cgroup.waited_for.values() for figure in wait),
    ]
    rows = window.signals.cgroups.values() if window.signals else ()
    return min(chain(figures, (figure for row in rows for figure in row if figure is not None)))
