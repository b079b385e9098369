"""A TOML file into frozen records, strictly: what is not known or not allowed is refused with its line.

A record is a dataclass whose fields are made by `setting`. A section of the file is a field that is such a record,
an array of tables one that is a tuple of them.
"""

import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, cast, get_args, get_type_hints

from agent.documents.codec import NAMES
from collectors.host.readings import excerpt
from probes.errors import UsageError

Record = TypeVar("Record")
Key = tuple[str | int, ...]
"""Where a value stands: names of tables and keys, and numbers in arrays."""

_ALLOWED, _FIXED = "allowed", "fixed"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be, in words, and as a test of a value that has the right type."""

    words: str
    holds: Callable[[Any], bool]


def between(low: float, high: float, unit: str = "") -> Allowed:
    """A finite number, both ends included."""
    words = f"{low:g} to {high:g} {unit}".rstrip()
    return Allowed(words, lambda number: math.isfinite(number) and low <= number <= high)


def one_of(*choices: str) -> Allowed:
    """One of these words."""
    return Allowed(" or ".join(f'"{choice}"' for choice in choices), choices.__contains__)


def matching(words: str, holds: Callable[[Any], bool]) -> Allowed:
    """Whatever `holds` says."""
    return Allowed(words, holds)


ANYTHING = Allowed("", lambda _: True)


def setting(default: Any, allowed: Allowed = ANYTHING, *, fixed: bool = False) -> Any:  # noqa: ANN401  as dataclasses.field
    """A field of a record: its default, what else it may be (in a tuple, each of its items), and if for good."""
    return field(default=default, metadata={_ALLOWED: allowed, _FIXED: fixed})


def fixed_differences(old: Any, new: Any, at: Key = ()) -> Iterator[str]:  # noqa: ANN401  two records of one kind
    """The keys that differ between two records although they are fixed."""
    for each in fields(old):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if is_dataclass(before):
            yield from fixed_differences(before, after, (*at, each.name))
        elif each.metadata.get(_FIXED) and before != after:
            yield _dotted((*at, each.name))


def read(kind: type[Record], text: str, name: str) -> Record:
    """The record that a file of this text describes; `name` is the file's, for messages.

    Raises:
        UsageError: It is no TOML, or the first key that is unknown or whose value is not allowed.
    """
    try:
        return cast("Record", _record(kind, tomllib.loads(text), ()))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}", "mend the file") from error
    except _WrongKeyError as error:
        raise UsageError(f"{name}:{line_of(text, error.at)}: {error}", "mend the file") from error


class _WrongKeyError(Exception):
    def __init__(self, at: Key, wrong: str) -> None:
        super().__init__(f"{_dotted(at)}: {wrong}" if at else wrong)
        self.at = at


def line_of(text: str, at: Key) -> int:
    """The number of the line on which the statement begins that first gives this key of a TOML text a value.

    Found by the parser itself: a text is TOML up to any line that ends a statement.
    """
    lines = text.splitlines(keepends=True)
    begins = 1
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(document, at):
            break
        begins = count + 1
    return begins


def _holds(document: object, at: Key) -> bool:
    for part in at:
        try:
            document = document[part]  # type: ignore[index]  # what cannot be indexed is no way to the key
        except (LookupError, TypeError):
            return False
    return True


def _record(kind: type, table: object, at: Key) -> object:
    if not isinstance(table, Mapping):
        raise _WrongKeyError(at, f"must be a table, not {_shown(table)}")
    known = {each.name: each for each in fields(kind)}
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise _WrongKeyError((*at, unknown), f"there is no such key; there are: {', '.join(known)}")
    hints = get_type_hints(kind)
    values = {
        key: _value(hints[key], value, known[key].metadata.get(_ALLOWED, ANYTHING), (*at, key))
        for key, value in table.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise _WrongKeyError(at, str(error)) from error


def _value(hint: Any, value: object, allowed: Allowed, at: Key) -> object:  # noqa: ANN401  a type hint has no narrower type
    if is_dataclass(hint):
        return _record(cast("type", hint), value, at)
    items = get_args(hint)
    if items:
        if not isinstance(value, list):
            raise _WrongKeyError(at, f"must be a list, not {_shown(value)}")
        return tuple(_value(items[0], item, allowed, (*at, number)) for number, item in enumerate(value))
    if hint is float and type(value) is int:
        value = float(value) if abs(value) < 2**53 else math.inf
    if type(value) is not hint:
        range_ = f" ({allowed.words})" if allowed.words else ""
        raise _WrongKeyError(at, f"must be {NAMES[hint]}{range_}, not {_shown(value)}")
    if not allowed.holds(value):
        raise _WrongKeyError(at, f"{_shown(value)} is not allowed; allowed: {allowed.words}")
    return value


def _shown(value: object) -> str:
    return excerpt(value) if isinstance(value, str) else excerpt(str(value)).strip("'")


def _dotted(at: Iterable[str | int]) -> str:
    return "".join(_parts(at)).lstrip(".")


def _parts(at: Iterable[str | int]) -> Iterator[str]:
    for part in at:
        if isinstance(part, int):
            yield f"[{part}]"
        else:
            yield f".{part}" if part.isidentifier() else f".{excerpt(part)}"
