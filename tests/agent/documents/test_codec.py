"""Records to documents and back: keys, what is left out, and what is refused by its key."""

import json
from math import inf, nan

import pytest

from agent.documents.codec import Document, Record, decode, encode, null_keys
from probes.errors import UsageError


class Part(Record, frozen=True):
    with_: float | None
    many: tuple[int, ...] = ()
    later: str | None = None


class Whole(Document, frozen=True):
    SCHEMA = "jostle.test/1"
    name: str
    part: Part


WHOLE = Whole("a", Part(None, (1, 2)))


def test_a_document_says_what_is_unavailable_and_leaves_out_what_does_not_apply() -> None:
    document = WHOLE.to_document()
    assert document == {"schema": "jostle.test/1", "name": "a", "part": {"with": None, "many": [1, 2]}}
    assert Whole.from_document(json.loads(json.dumps(document))) == WHOLE
    assert list(null_keys(WHOLE.part)) == ["with"]


def test_keys_of_a_later_release_are_ignored() -> None:
    assert Whole.from_document({**WHOLE.to_document(), "new": {"deep": 1}}) == WHOLE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 1}, "name: "),
        ({"part": {"with": "x"}}, "part.with: "),
        ({"part": {}}, "part.with is missing"),
        ({"part": {"with": nan}}, "part.with must be a finite number"),
        ({"part": {"with": 1, "many": [1, inf]}}, r"part.many\[1\] must be a finite number"),
        ({"schema": "jostle.test/2"}, "its schema is 'jostle.test/2'"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(change: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Whole.from_document({**WHOLE.to_document(), **change})


@pytest.mark.parametrize("document", [None, [], "text", 1])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(UsageError, match="not a document of schema"):
        decode(Whole, document, Whole.SCHEMA)


def test_a_figure_that_json_cannot_say_is_never_written() -> None:
    with pytest.raises(ValueError, match="cannot hold nan"):
        encode(Part(nan), "x/1")
