"""What the parser of the command line refuses, in words of the command line: option, value, what is wrong."""

import re
from collections.abc import Mapping
from typing import Any

import typer

_WRONG = {
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_parsing_size": "is too large a number",
    "float_parsing": "is not a number",
    "greater_than_equal": "is below {ge}",
    "less_than_equal": "is above {le}",
}
_EXTRA = re.compile(r"Got unexpected extra argument(?:\(s\)|s?) \((?P<words>.*)\)", re.DOTALL)


def plain(error: typer.TyperException) -> str:
    """One sentence without a full stop. The parser's own words name its types and those of a library below it."""
    parameter = getattr(error, "param", None)
    name = "" if parameter is None else _name(parameter)
    # What pydantic found; the class itself would be 10 ms to import for those who type no error.
    details: list[Mapping[str, Any]] = getattr(error.__cause__, "errors", list)()
    if name and details:
        return f"{name} {_detail(details[0])}"
    said = error.format_message().rstrip(".")
    if name and said.startswith("Missing"):
        return f"{name} is missing"
    extra = _EXTRA.fullmatch(said)
    return f"unexpected argument {extra['words']}" if extra else said


def _name(parameter: Any) -> str:  # noqa: ANN401  a class that typer does not export
    """An option's first spelling, which is what the help shows first, or an argument's name."""
    options = [*parameter.opts] if parameter.param_type_name == "option" else []
    return options[0] if options else str(parameter.metavar or parameter.name)


def _detail(detail: Mapping[str, Any]) -> str:
    context = detail.get("ctx", {})
    words = _WRONG.get(detail["type"], "").format(**context) or str(context.get("error", detail["msg"]))
    given = str(detail["input"])
    return f"{given} {words.removeprefix(repr(given)).strip().rstrip('.').replace(chr(39), '')}"
