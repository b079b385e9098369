"""Durations as people write them, wherever one is given, and moments as jostle writes them, wherever it does."""

import re
from datetime import UTC, datetime, timedelta

DURATION_FORMS = "10, 10s, 10m or 2h"
"""What to give, for help texts and messages."""
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)) ?(ms|s|m|min|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def moment(utc_s: float) -> str:
    """Seconds since the epoch in the one form of documents, messages and reports: `2026-03-01T03:12:07+01:00`.

    ISO 8601 in the host's time zone. Without a space it is one word to the shell, and `--at` takes it again.
    """
    return datetime.fromtimestamp(utc_s).astimezone().isoformat(timespec="seconds")


def clock(since: str, after_s: float) -> str:
    """The time of day so many seconds after a moment, for an axis: `03:12:07`, with tenths where they are meant."""
    at = datetime.fromisoformat(since) + timedelta(seconds=round(after_s, 1))
    return f"{at:%H:%M:%S}" + (f".{at.microsecond // 100_000}" if at.microsecond else "")


def zone(since: str) -> str:
    """The offset of a moment, which an axis by `clock` is in: `+01:00`."""
    return since[-6:]


def second_of_day(since: str) -> float:
    """Seconds from the midnight before a moment, in its own zone."""
    at = datetime.fromisoformat(since)
    return (at - at.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def utc_s(since: str) -> float:
    """Seconds since the epoch of a moment."""
    return datetime.fromisoformat(since).timestamp()


def stamp() -> str:
    """Now, as part of a file's name: `20260301T021207Z`, which needs no quotes and sorts by time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def partition(utc_s: float) -> str:
    """The folders of a dataset that hold an hour: `date=2026-03-01/hour=02`, in UTC."""
    return datetime.fromtimestamp(utc_s, UTC).strftime("date=%Y-%m-%d/hour=%H")


def span_of(end_utc_ns: int, length_s: int) -> int:
    """Begin of the span of this length that a window lies in, by its last moment, in seconds since the epoch."""
    return (end_utc_ns - 1) // 10**9 // length_s * length_s


def duration_s(text: str | float) -> float:
    """`10`, `10s`, `500ms`, `10m`, `2h` or `1d` in seconds; a number without a unit is one of seconds already.

    Raises:
        ValueError: It is none, with words that follow what was given.
    """
    found = _FORM.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"is not a duration: give {DURATION_FORMS}")
    return float(found[1]) * _SECONDS[found[2]]
