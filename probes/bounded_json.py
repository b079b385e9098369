"""JSON that a stranger may have written: parsed only where it takes no more memory than it may."""

import json
from typing import Any

# An object with something in it, a list, and a value more in either: 4 MiB of `{},` are 110 MB.
_TAKES_BYTES = {"{": 240, "[": 100, ",": 60}


def parse(content: bytes | str, most_bytes: int) -> Any:  # noqa: ANN401  any JSON value
    """What a JSON text says.

    Raises:
        ValueError: It is none, or could take more than `most_bytes` of memory once it is parsed.
        RecursionError: It is nested too deeply.
    """
    if isinstance(content, bytes):
        content = content.decode(json.detect_encoding(content), "surrogatepass")
    if sum(content.count(sign) * size for sign, size in _TAKES_BYTES.items()) > most_bytes:
        raise ValueError("it holds more than it can")
    return json.loads(content)
