"""Durations as people write them, wherever one is given: `10`, `10s`, `500ms`, `10m`, `2h`, `1d`."""

import re

DURATION_FORMS = "10, 10s, 10m or 2h"
"""What to give, for help texts and messages."""
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)) ?(ms|s|m|min|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def duration_s(text: str | float) -> float:
    """A duration in seconds; a number without a unit is one of seconds already.

    Raises:
        ValueError: It is none, with words that follow what was given.
    """
    found = _FORM.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"is not a duration: give {DURATION_FORMS}")
    return float(found[1]) * _SECONDS[found[2]]
