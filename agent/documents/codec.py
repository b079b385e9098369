"""Frozen records to JSON documents and back, driven by their type hints.

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
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from probes.errors import UsageError

Record = TypeVar("Record")

NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def encode(record: object, schema: str) -> dict[str, Any]:
    """The JSON-ready document of one frozen dataclass instance, `schema` first.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    return {"schema": schema, **_object(record)}


def decode(kind: type[Record], document: object, schema: str) -> Record:
    """The record of dataclass `kind` that `document` (parsed JSON) describes.

    Raises:
        UsageError: another schema, or the first key that is missing or wrong, by name.
    """
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise UsageError(f"not a document of schema {schema!r}: its schema is {str(found)[:40]!r}")
    try:
        return cast("Record", _record(kind, document, ""))
    except _WrongKeyError as error:
        raise UsageError(f"{schema} document: {error}") from error


def null_keys(record: object) -> Iterator[str]:
    """The keys of `record` that are null in its document, those left out excepted."""
    for field in _fields(type(record)):
        if getattr(record, field.name) is None and not _omissible(field):
            yield _key(field)


class _WrongKeyError(Exception):
    """The key, counted from the document's root, and what is wrong with it."""

    def __init__(self, at: str, wrong: str) -> None:
        super().__init__(f"{at} {wrong}" if at else wrong)


def _fields(kind: type) -> tuple[Field[Any], ...]:
    return fields(kind)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _key(field: Field[Any]) -> str:
    return field.name.removesuffix("_")


def _omissible(field: Field[Any]) -> bool:
    return field.default is None


def _object(record: object) -> dict[str, object]:
    pairs = ((field, getattr(record, field.name)) for field in _fields(type(record)))
    return {
        _key(field): _plain(value) for field, value in pairs if value is not None or not _omissible(field)
    }


def _plain(value: object) -> object:
    if is_dataclass(value):
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


def _record(kind: type, value: object, at: str) -> object:
    known = _expect(dict, value, at)
    arguments = {}
    for field in _fields(kind):
        inner = _join(at, _key(field))
        if _key(field) in known:
            arguments[field.name] = _value(_hints(kind)[field.name], known[_key(field)], inner)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _WrongKeyError(inner, "is missing")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise _WrongKeyError(f"{at}:" if at else "", str(error)) from error


def _value(hint: Any, value: object, at: str) -> object:  # noqa: ANN401  a type hint has no narrower type
    origin, parameters = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # Of numbers, a whole one where the document has one.
        hint = next((each for each in parameters if each is type(value)), parameters[0])
        return None if value is None else _value(hint, value, at)
    if origin is tuple:
        return _tuple(parameters, value, at)
    if origin is Mapping:
        return {
            key: _value(parameters[1], item, _join(at, key)) for key, item in _expect(dict, value, at).items()
        }
    if is_dataclass(hint):
        return _record(cast("type", hint), value, at)
    if issubclass(hint, Enum):
        return _member(hint, value, at)
    return _scalar(hint, value, at)


def _tuple(parameters: tuple[Any, ...], value: object, at: str) -> tuple[object, ...]:
    items = _expect(list, value, at)
    if parameters[-1] is Ellipsis:
        return tuple(_value(parameters[0], item, f"{at}[{index}]") for index, item in enumerate(items))
    if len(items) != len(parameters):
        raise _WrongKeyError(at, f"must have {len(parameters)} items, not {len(items)}")
    pairs = zip(parameters, items, strict=True)
    return tuple(_value(hint, item, f"{at}[{index}]") for index, (hint, item) in enumerate(pairs))


def _member(kind: type[Enum], value: object, at: str) -> Enum:
    choices = [member.value for member in kind]
    if value not in choices:
        raise _WrongKeyError(at, f"must be one of {', '.join(choices)}")
    return kind(value)


def _scalar(kind: type, value: object, at: str) -> object:
    if kind is float:
        return _number(value, at)
    return _expect(kind, value, at)


def _number(value: object, at: str) -> float:
    # JSON writers are free to write 5.0 as 5, and Python reads that as an int, of any size.
    try:
        number = float(value) if type(value) is int else _expect(float, value, at)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _WrongKeyError(at, "must be a finite number")
    return number


def _expect(kind: type[Record], value: object, at: str) -> Record:
    # Not isinstance: True is an int to Python, not to a reader of the document.
    if type(value) is not kind:
        wrong = NAMES.get(type(value), type(value).__name__)
        raise _WrongKeyError(at, f"must be {NAMES[kind]}, not {wrong}")
    return value


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
