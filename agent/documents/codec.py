"""Frozen records to JSON documents and back: msgspec reads them by their type hints.

The rules, for every document this project writes:

* A key is the field's name; the underscore that keeps a field from being a Python keyword is dropped
  (`with_` is written `with`).
* A field with no default is always written; where its type allows None it may be `null`, which means
  unavailable. A field whose default is None is left out when it is None: it does not apply.
* Reading is strict about what it knows: a missing key, a wrong type, a number that is not finite is a
  `UsageError` naming the key. It ignores keys it does not know, so that a document of a later release with
  further keys can still be read; they are not kept, because a document is never written back over its source.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from probes.errors import UsageError

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_AT = re.compile(r" - at `\$([^`]*)`\Z")


def _key(name: str) -> str:
    return name.removesuffix("_")


class Record(msgspec.Struct, frozen=True, rename=_key):
    """A part of a document. `msgspec.structs.replace` makes another with some fields changed."""


class Document(Record, frozen=True):
    """A whole document, of the schema that the class names."""

    SCHEMA: ClassVar[str]

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`, `schema` first.

        Raises:
            ValueError: A number is not finite, which JSON cannot say.
        """
        return encode(self, self.SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> Self:
        """The record that a parsed JSON document describes; keys that are not known are ignored.

        Raises:
            UsageError: Another schema, or the first key that is missing or wrong, by name.
        """
        return decode(cls, document, cls.SCHEMA)


Kind = TypeVar("Kind", bound=Record)


def encode(record: Record, schema: str) -> dict[str, Any]:
    """The JSON-ready document of a record, `schema` first.

    Raises:
        ValueError: A number is not finite, which JSON cannot say.
    """
    return {"schema": schema, **_object(record)}


def decode(kind: type[Kind], document: object, schema: str) -> Kind:
    """The record of this kind that `document` (parsed JSON) describes.

    Raises:
        UsageError: Another schema, or the first key that is missing or wrong, by name.
    """
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise UsageError(f"not a document of schema {schema!r}: its schema is {str(found)[:40]!r}")
    if (at := next(_not_finite(document), None)) is not None:
        raise UsageError(f"{schema} document: {at} must be a finite number")
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{schema} document: {_explained(str(error))}") from error
    except UnicodeEncodeError as error:  # half of a surrogate pair, where msgspec compares with names
        raise UsageError(f"{schema} document: a key or a word is not Unicode") from error


def null_keys(record: Record) -> Iterator[str]:
    """The keys of a record that are null in its document, those left out excepted."""
    for name, omissible in _names(type(record)).items():
        if getattr(record, name) is None and not omissible:
            yield _key(name)


@cache
def _names(kind: type[Any]) -> dict[str, bool]:
    """The names of a record's fields, and of each whether it is left out where it is None."""
    known = msgspec.structs.fields(kind) if issubclass(kind, Record) else fields(kind)
    return {each.name: each.default is None for each in known}


def _object(record: Any) -> dict[str, object]:  # noqa: ANN401  a Record, or a dataclass of the collectors
    pairs = ((name, getattr(record, name), omissible) for name, omissible in _names(record.__class__).items())
    return {
        _key(name): _plain(value) for name, value, omissible in pairs if value is not None or not omissible
    }


def _plain(value: object) -> object:
    if isinstance(value, Record) or is_dataclass(value):
        return _object(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _finite(value)
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a document cannot hold {value}; an unavailable figure is None")
    return float(value)  # numpy's float is a subclass of Python's, and its repr is its own


def _not_finite(value: object, at: str = "") -> Iterator[str]:
    """Where parsed JSON has a number that is not finite: Python reads NaN and 1e999, and msgspec takes them."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, _join(at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{at}[{index}]")


def _explained(message: str) -> str:
    """What msgspec says is wrong, the key first: `effect.pairs: expected `int`, got `str``."""
    wrong, at = split_path(message)
    if missing := _MISSING.fullmatch(wrong):
        return f"{_join(at, missing[1])} is missing"
    wrong = wrong[:1].lower() + wrong[1:]
    return f"{at}: {wrong}" if at else wrong


def split_path(message: str) -> tuple[str, str]:
    """What msgspec says is wrong, and where: `effect.pairs`, or nothing for the whole document."""
    found = _AT.search(message)
    return (message[: found.start()], found[1].lstrip(".")) if found else (message, "")


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
