"""A TOML file into frozen records, strictly: what is not known or not allowed is refused with its line.

msgspec checks types and limits, by the annotations of the records; it knows the key that is wrong, not its line. The
line is found here, in one pass over the text.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

import msgspec

from agent.documents.codec import split_path
from collectors.host.readings import excerpt
from probes.errors import UsageError

Key = tuple[str | int, ...]
"""Where a value stands: names of tables and keys, and numbers in arrays."""


class Section(msgspec.Struct, frozen=True):
    """A table of the file. `FIXED` names the keys that cannot change while the agent runs."""

    FIXED: ClassVar[tuple[str, ...]] = ()


Record = TypeVar("Record", bound=Section)

# tomllib takes 25 s for one key of 30,000 dotted names, as many as 60 KB hold, and 0.1 s for lines of 200 each.
_MOST_DOTS = 200
# Whatever hides a line's end or a bracket from TOML; a string that is not closed ends with its line, or the text.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\\?\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*"
    r"|[\[\]{}.\n]",
    re.DOTALL,
)
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


def between(low: float, high: float, unit: str = "") -> msgspec.Meta:
    """A finite number, both ends included."""
    return msgspec.Meta(ge=low, le=high, description=f"{low:g} to {high:g} {unit}".rstrip())


def one_of(*choices: str) -> msgspec.Meta:
    """The constraint that a setting is one of these words."""
    words = " or ".join(f'"{choice}"' for choice in choices)
    return matching("|".join(map(re.escape, choices)), words)


def matching(pattern: str, words: str) -> msgspec.Meta:
    """Text that a regular expression matches as a whole; `words` say what that is."""
    return msgspec.Meta(pattern=rf"\A(?:{pattern})\Z", description=words)


def fixed_differences(old: Section, new: Section, at: Key = ()) -> Iterator[str]:
    """The keys that differ between two records of one kind although they are fixed."""
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Section):
            yield from fixed_differences(before, after, (*at, name))
        elif name in old.FIXED and before != after:
            yield _dotted((*at, name))


def read(kind: type[Record], text: str, name: str) -> Record:
    """The record that a file of this text describes; `name` is the file's, for messages.

    Raises:
        UsageError: It is no TOML, or the first key that is unknown or whose value is not allowed.
    """
    document: dict[str, Any] = {}
    try:
        _require_short_keys(text)
        document = tomllib.loads(text)
        if unknown := next(_unknown(kind, document), None):
            raise _refused(name, text, *unknown)
        return msgspec.convert(document, kind)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}", "fix the file") from error
    except RecursionError as error:
        raise UsageError(f"{name}: its values are nested too deeply", "fix the file") from error
    except msgspec.ValidationError as error:
        raise _refused(name, text, *_explained(kind, document, error)) from error


def _refused(name: str, text: str, at: Key, wrong: str) -> UsageError:
    return UsageError(f"{name}:{line_of(text, at)}: {_dotted(at)}: {wrong}", "fix the file")


def line_of(text: str, at: Key) -> int:
    """The number of the line on which the statement begins that first gives this key of a TOML text a value.

    Each statement of a TOML text is TOML by itself, so one pass suffices: 0.2 s for 60 KB of any kind.
    """
    line, table, last = 1, Key(), dict[Key, int]()
    for statement in _statements(text):
        document = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _table(document, last)
            found = table[: len(at)] == at
        else:
            found = bool(document) and at[: len(table)] == table and _holds(document, at[len(table) :])
        if found:
            return line
        line += statement.count("\n")
    return 1


def _statements(text: str) -> Iterator[str]:
    """The lines of a TOML text, as many together as one statement has; blank ones and comments by themselves."""
    begin = depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in {"[", "{"}) - (token[0] in {"]", "}"})
        if token[0] == "\n" and not depth:
            yield text[begin : token.end()]
            begin = token.end()
    yield text[begin:]


def _table(header: Any, last: dict[Key, int]) -> Key:  # noqa: ANN401  parsed TOML
    """Where the table stands that a header begins; `last` counts the tables of each array so far."""
    table: Key = ()
    while header:
        ((name, header),) = header.items()
        table += (name,)
        if isinstance(header, list):
            last[table] = last.get(table, -1) + 1
            header = header[0]
        if table in last:
            table += (last[table],)
    return table


def _require_short_keys(text: str) -> None:
    dots, line = 0, 1
    for token in _TOKEN.finditer(text):
        line += token[0].count("\n")
        dots = 0 if token[0] == "\n" else dots + (token[0] == ".")
        if dots > _MOST_DOTS:
            raise tomllib.TOMLDecodeError(f"More than {_MOST_DOTS} dots (at line {line})")


def _holds(document: object, at: Key) -> bool:
    try:
        _follow(document, at)
    except (LookupError, TypeError):
        return False
    return True


def _follow(document: Any, at: Key) -> Any:  # noqa: ANN401  parsed TOML
    for part in at:
        document = document[part]
    return document


def _unknown(hint: Any, value: object, at: Key = ()) -> Iterator[tuple[Key, str]]:  # noqa: ANN401  as `_hint`
    """The keys that no section has, and what there is. Not left to msgspec, which has them as they are in its text."""
    if isinstance(value, Mapping) and isinstance(hint, type) and issubclass(hint, Section):
        for key, part in value.items():
            if key in hint.__struct_fields__:
                yield from _unknown(_hint(hint, (key,)), part, (*at, key))
            else:
                yield (*at, key), f"there is no such key; there are: {', '.join(hint.__struct_fields__)}"
    elif isinstance(value, list) and get_args(hint):
        for number, part in enumerate(value):
            yield from _unknown(get_args(hint)[0], part, (*at, number))


def _explained(kind: type, document: object, error: msgspec.ValidationError) -> tuple[Key, str]:
    """Which key msgspec refuses, and why, with what would be allowed."""
    wrong, path = split_path(str(error))
    at: Key = tuple(int(number) if number else name for name, number in _STEP.findall(path))
    value, hint = _follow(document, at), _hint(kind, at)
    if isinstance(value, Mapping) and isinstance(hint, type):
        return at, wrong  # what the section itself says of its keys together
    allowed = [meta.description for meta in getattr(hint, "__metadata__", ()) if meta.description]
    wrong = f"allowed: {', '.join(allowed)}" if allowed else f"{wrong[:1].lower()}{wrong[1:]}"
    return at, f"{_shown(value)} is not allowed; {wrong}"


def _hint(kind: Any, at: Key) -> Any:  # noqa: ANN401  a type hint has no narrower type
    for part in at:
        kind = get_args(kind)[0] if isinstance(part, int) else get_type_hints(kind, include_extras=True)[part]
    return kind


def _shown(value: object) -> str:
    return excerpt(value) if isinstance(value, str) else excerpt(str(value)).strip("'")


def _dotted(at: Key) -> str:
    return "".join(_parts(at)).lstrip(".")


def _parts(at: Key) -> Iterator[str]:
    for part in at:
        if isinstance(part, int):
            yield f"[{part}]"
        else:
            yield f".{part}" if part.isidentifier() else f".{excerpt(part)}"
