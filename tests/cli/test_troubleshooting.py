"""Every message that docs/troubleshooting.md explains is one that jostle can print."""

import ast
import re

import pytest

from tests.test_layers import ROOT, modules

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
# From what the parser of the command line says.
OTHERS = ("is not one of", "unexpected argument", "No such option", "FILE:LINE: KEY:")


def messages() -> list[str]:
    first_cells = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    return [message for cell in first_cells for message in re.findall(r"`(.*?)`", cell)]


def said() -> str:
    """Every text in the sources, piece by piece."""
    trees = (ast.parse((ROOT / path).read_text()) for path in modules())
    texts = (n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return "\n".join(text for text in texts if isinstance(text, str))


@pytest.fixture(scope="module")
def sources() -> str:
    return said()


def test_messages_are_found() -> None:
    assert len(messages()) > 30


@pytest.mark.parametrize("message", messages())
def test_a_message_that_is_explained_is_one_of_jostles(message: str, sources: str) -> None:
    pieces = [piece.strip() for piece in message.split("…")]
    missing = [
        piece for piece in pieces if piece not in sources and not message.lstrip("… ").startswith(OTHERS)
    ]
    assert missing == []
