"""JSON of strangers: what is small when it is parsed is, what would be large is not."""

import pytest

from probes import bounded_json


@pytest.mark.parametrize(
    "content", ['{"a": [1, null]}', b'{"a": [1, null]}', '{"a": [1, null]}'.encode("utf-16")]
)
def test_what_is_small_is_parsed(content: str | bytes) -> None:
    assert bounded_json.parse(content, 1000) == {"a": [1, None]}


@pytest.mark.parametrize("piece", ["{},", "[],", "0,", '{"a":{}},'])
def test_what_would_take_more_memory_than_it_may_is_not(piece: str) -> None:
    text = f"[{piece * 1000}0]"
    with pytest.raises(ValueError, match="holds more"):
        bounded_json.parse(text, len(text))
    assert len(bounded_json.parse(text, 1 << 20)) == 1001
