"""Numbers as people and programs print them, with the unit that follows: `850us`, `1.2k`, `1,234.5 ms`, `1,5 %`.

What follows a number is part of it. With a unit that the user named (`NAME=REGEX:lower:ms`) every number is converted
to it, and one that has no unit is in it. Without, the unit is taken as printed, so that trials with different units can
be told apart, and only plain numbers are read. What may mean two things is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

TIME_S: Mapping[str, float] = {
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "usec", "usecs", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}
_BINARY = {f"{prefix}iB": 1024.0**power for power, prefix in enumerate("KMGTP", start=1)}
_DECIMAL = {f"{prefix}B": 1000.0**power for power, prefix in enumerate("kMGTP", start=1)}
SIZE_BYTES: Mapping[str, float] = {"B": 1.0, "bytes": 1.0, **_BINARY, **_DECIMAL, "KB": 1000.0}
RATE_BYTES_PER_S: Mapping[str, float] = {f"{name}/s": factor for name, factor in SIZE_BYTES.items()}
SHARE: Mapping[str, float] = {"%": 1.0}
DIMENSIONS = (TIME_S, SIZE_BYTES, RATE_BYTES_PER_S, SHARE)
MULTIPLES: Mapping[str, float] = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

UNIT = re.compile(r"[^\W\d_][^\s:]{0,19}|[%/][^\s:]{0,19}")  # that may be named

_SPACES = "\u00a0\u2007\u2009\u202f"  # those that typographers put between groups of three
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_NUMBER = re.compile(rf"[+-]?(?:\.\d+|\d(?:[\d.,'’_{_SPACES}]*\d)?\.?){_EXPONENT}", re.ASCII)
_COLUMN = re.compile(rf"[+-]?(?:\.\d+|\d(?:[\d.]*\d)?\.?){_EXPONENT}", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# An ordinary space is between groups of three, as in 12 345, or between columns: nobody can tell.
_GROUPS_OR_COLUMNS = re.compile(r"[+-]?\d{1,3} \d{3}(?!\d)", re.ASCII)
# Between digits these are a decimal point, or make a range or a date of them.
_BETWEEN_DIGITS = re.compile(r"[\u00b7\u2013-]\d", re.ASCII)
_INSIDE = re.compile(r"\d\.?$", re.ASCII)
_NAME = r"(?:[^\W\d_]+(?:/[^\W\d_]+)?|%|/[^\W\d_]+)(?!\w)"
_ATTACHED = re.compile(_NAME)
_WORD = re.compile(rf"[ {_SPACES}]({_NAME})")
_GROUPED = re.compile(
    rf"(\d{{1,3}})((?P<group>[.,'’_{_SPACES}])\d{{3}}(?:(?P=group)\d{{3}})*)([.,]\d+)?", re.ASCII
)
_DECIMAL_COMMA = re.compile(r"(?:0|\d{4,}),\d+|\d{1,3},(?:\d{1,2}|\d{4,})", re.ASCII)
_FURTHER_PART = re.compile(rf"[ ,{_SPACES}]*\d+(?:\.\d+)? ?({_NAME})")


@dataclass(frozen=True, slots=True)
class Printed:
    """A number in a text: its value and unit (as printed, or the one that was named), and where they end."""

    value: float
    unit: str
    end: int


def read_number(text: str, start: int, named: str | None, separators: str = "") -> Printed | None:
    """The number that begins at `start`, with what follows it; None where there is none, or what it means is not sure.

    Args:
        text: the whole output: a unit or further digits may follow what a pattern captured.
        start: where the number begins; inside a longer number there is none.
        named: the unit that the value is wanted in; None: as printed, and plain numbers only.
        separators: `,`, `:` and a space as far as the number ends before one, as in a table of columns.
    """
    token = (_COLUMN if "," in separators else _NUMBER).match(text, start)
    if token is None or _INSIDE.search(text[max(0, start - 2) : start]):
        return None
    if " " not in separators and _GROUPS_OR_COLUMNS.match(text, start):
        return None
    value = _plain(token[0]) if named is None else _any_form(token[0])
    suffix = _suffix(text, token.end(), named, separators)
    if value is None or suffix is None:
        return None
    unit, end = suffix
    if named is None:
        return Printed(value, unit, end)
    factor = factors(named).get(unit)
    return None if factor is None else Printed(value * factor, named, end)


def factors(named: str) -> Mapping[str, float]:
    """What a number followed by each of these is to be multiplied by to be in the unit named.

    Units of time, size, data rate and % convert into each other within their kind; any other may have a multiple
    before it, such as `1.2kreq/s`, or stand without its name, such as `1.2k`.
    """
    for table in DIMENSIONS:
        if named in table:
            return {"": 1.0, **{name: factor / table[named] for name, factor in table.items()}}
    return {f"{multiple}{name}": factor for multiple, factor in MULTIPLES.items() for name in ("", named)}


def _suffix(text: str, end: int, named: str | None, separators: str) -> tuple[str, int] | None:
    """The unit behind a number and where it ends: letters that touch the number, or a known unit one space further.

    None: the number goes on in a way that is not understood, such as `5x3`, `0:01.50`, `12 min 30 s`.
    """
    if attached := _ATTACHED.match(text, end):
        return None if _goes_on(text, attached[0], attached.end()) else (attached[0], attached.end())
    following = text[end : end + 2]
    if following[:1].isalnum() or following[:1] in ("_", "'") or _BETWEEN_DIGITS.match(following):
        return None
    if following[:1] == ":" and following[1:].isdigit() and ":" not in separators:
        return None
    word = _WORD.match(text, end)
    if word is None or not (_is_known(word[1]) or (named is not None and word[1] in factors(named))):
        return "", end
    return None if _goes_on(text, word[1], word.end()) else (word[1], word.end())


def _is_known(name: str) -> bool:
    return any(name in table for table in DIMENSIONS)


def _goes_on(text: str, unit: str, end: int) -> bool:
    """Whether a part in a smaller unit of time follows hours or minutes."""
    further = _FURTHER_PART.match(text, end) if TIME_S.get(unit, 0) >= TIME_S["min"] else None
    return further is not None and TIME_S.get(further[1], TIME_S[unit]) < TIME_S[unit]


def _plain(token: str) -> float | None:
    return float(token) if _PLAIN.fullmatch(token) else None


def _any_form(token: str) -> float | None:
    """A number with thousands separators or a decimal comma, where only one reading makes sense."""
    if _PLAIN.fullmatch(token):
        return float(token)
    sign = -1.0 if token.startswith("-") else 1.0
    digits = token.lstrip("+-")
    if _DECIMAL_COMMA.fullmatch(digits):
        return sign * float(digits.replace(",", "."))
    found = _GROUPED.fullmatch(digits)
    if found is None:
        return None
    group, fraction = found["group"], found[4]
    # A single comma or full stop before three digits may be either: 1,234 is 1234 here and 1.234 there.
    if fraction is None and group in ",." and found[2].count(group) == 1:
        return None
    if fraction is not None and fraction[0] == group:
        return None
    whole = found[1] + found[2].replace(group, "")
    return sign * float(whole + (fraction or "").replace(",", "."))
