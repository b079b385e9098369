"""Each command line that README and docs/ tell to type is one that jostle takes: its command, options and values."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from agent.cli import app as application
from agent.cli.app import COMMANDS
from agent.cli.experiment_options import spelt_out
from agent.cli.plain_words import plain

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# A command in a block, behind a prompt or what runs it; and one within a sentence.
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(r"^\s*(?:\$ |sudo )*jostle (?P<words>[a-z-][^\n]*)", re.MULTILINE)
_INLINE = re.compile(r"`(?:sudo )?jostle (?P<words>[^`\n]+)`")
_ENDS = {"|", "&&", ";", ">", "#", "&", "||"}


def words_of(line: str) -> list[str]:
    """The words up to what the shell takes for itself, or a comment; none of a line that is not typed as it stands."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found = []
    for word in lexer:
        if word in _ENDS:
            break
        found.append(word)
    return found


def commands_of(text: str) -> list[tuple[str, bool]]:
    """Command lines, and whether each stands in a block, to be typed as it is, and not in a sentence."""
    blocks = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ")
    found = [(each["words"], True) for each in _TYPED.finditer(blocks)]
    found += [(each["words"], False) for each in _INLINE.finditer(_BLOCK.sub("", text))]
    # An ellipsis stands for something that is left out.
    return [(line, is_whole) for line, is_whole in found if "…" not in line and "..." not in line]


DOCUMENTED = sorted({(page.name, *each) for page in PAGES for each in commands_of(page.read_text())})


def test_command_lines_are_found() -> None:
    assert len(DOCUMENTED) > 60
    assert {"README.md", "3am.md", "experiments.md", "fleet.md"} <= {page for page, _, _ in DOCUMENTED}


@pytest.mark.parametrize(("page", "line", "is_whole"), DOCUMENTED)
def test_it_is_taken(page: str, line: str, is_whole: bool) -> None:  # noqa: FBT001  a parametrised fact
    words = words_of(line)
    if words[0].startswith("-"):  # of jostle itself
        assert {each.partition("=")[0] for each in words if each.startswith("-")} <= OWN
    else:
        assert words[0] in COMMANDS
        refused = refusal(words)
        # A sentence names a command, or an option of it, without all that it needs.
        is_named = refused.endswith(("is missing", "requires an argument"))
        assert not refused or (is_named and not is_whole), page


def refusal(words: list[str]) -> str:
    """Why a command does not take the words behind its name; nothing is run."""
    application.register(words[0])
    group = typer.main.get_command(application.app)
    command = group.commands[words[0]]  # type: ignore[attr-defined]  # a group's
    try:
        command.make_context(f"jostle {words[0]}", words[1:]).close()
    except typer.TyperException as error:
        return plain(error)
    except typer.Exit:  # --help
        return ""
    return ""


def test_confirm_alone_means_always() -> None:
    assert spelt_out(["--confirm", "--pairs", "4"])[0] == "--confirm=always"
    assert spelt_out(["--pairs", "4", "--confirm"])[2] == "--confirm=always"
    assert spelt_out(["--confirm", "never"]) == ["--confirm", "never"]
    assert spelt_out(["--confirm=auto"]) == ["--confirm=auto"]


OWN = {
    "--host-root",
    "--help",
    "--version",
    "-V",
    "-d",
    "--json",
    "--debug",
    "--install-completion",
    "--show-completion",
}
