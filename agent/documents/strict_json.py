"""JSON text that every parser takes: strings are Unicode, and nothing is left to be argued about."""

import json
import re

# A backslash, a pair that is one character, or half of one: what a byte that is not UTF-8 is in Python.
_ESCAPES = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(?P<half>\\ud[89a-f]..)")


def strict_json(document: object, *, indent: int | None = None) -> str:
    r"""A document as ASCII JSON. RFC 8259 leaves half of a surrogate pair open: jq changes it, others refuse the text.

    A byte that is not UTF-8, such as 0xff, stands as the six characters `\udcff`, as in every other output.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=True, allow_nan=False)
    # The one control character that json leaves alone.
    return _ESCAPES.sub(_visible, text).replace("\x7f", r"\u007f")


def _visible(found: re.Match[str]) -> str:
    return found[0] if found["half"] is None else rf"\{found[0]}"
