"""Hostile text is harmless in every output; the parsers of the outputs are the oracles."""

import re
import unicodedata
from html.parser import HTMLParser

import cmarkgfm  # type: ignore[import-untyped]  # ships no type information
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.escape import (
    for_html,
    for_markdown,
    for_markdown_block,
    for_markdown_code,
    for_terminal,
    told_apart,
)

HOSTILE = "<script>alert(1)</script>\x1b[31m"
PIECES = [
    *("<script>", "</td>", "<!--", "-->", "'onmouseover=alert(1)", '"', "'", "=", "&lt;", "&#60;"),
    *("](http://x)", "![i](//x)", "https://a.example", "www.a.example", "a@b.example", "mailto:a@b.example"),
    *("xmpp:a@b.example", "@user", "`", "``", "|", "\\|", "\\", "|---|", "**", "__", "~~", "$x$", "# ", "- "),
    *("1. ", "> ", "   ", "\n", "\r\n", "\t", "\x00", "\x1b[31m", "\x9b2J", "\u202e", "\u2066", "\u2028"),
    *("\udc80", "\U000e0041", "a"),
]
hostile_texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)
any_text = st.text(st.characters(exclude_categories=())) | hostile_texts


class Collector(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")
        self.attributes += attrs

    def handle_comment(self, data: str) -> None:
        self.tags.append(f"comment {data}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data


def seen(markup: str) -> Collector:
    collector = Collector()
    collector.feed(markup)
    collector.close()
    return collector


def github(markdown: str) -> Collector:
    return seen(
        cmarkgfm.github_flavored_markdown_to_html(markdown, options=cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE)
    )


@given(any_text)
@example(HOSTILE)
def test_a_terminal_gets_one_line_of_printing_characters(text: str) -> None:
    shown = for_terminal(text)
    assert {unicodedata.category(character)[0] for character in shown if character != " "}.isdisjoint("CZ")
    assert for_terminal(shown) == shown
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_stays_as_it_is_on_a_terminal(text: str) -> None:
    assert for_terminal(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("a\nb\r", r"a\x0ab\x0d"),
        ("\u202eevil", r"\u202eevil"),
        ("\udc80", r"\udc80"),
        ("\U000e0041", r"\U000e0041"),
        (r"system-getty\x2d1.slice", r"system-getty\x2d1.slice"),
    ],
)
def test_what_does_not_print_is_shown(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@given(any_text)
@example(HOSTILE)
def test_html_shows_the_text_and_nothing_else(text: str) -> None:
    page = seen(f'<p title="{for_html(text)}">{for_html(text)}</p>')
    assert page.tags == ["p"]
    assert page.attributes == [("title", for_terminal(text))]
    assert page.text == for_terminal(text)


def words(text: str) -> str:
    return re.sub(" +", " ", text).strip()


@given(any_text)
@example(HOSTILE)
@example("getty@tty1.example")
@example("www.a.example")
@example("https://a.example")
@example("@@``@")
@example("`@`")
@example("2) x")
@example("\\|")
def test_markdown_prose_shows_the_text_and_nothing_else(text: str) -> None:
    page = github(for_markdown(text))
    assert set(page.tags) <= {"p", "code"}
    assert words(page.text) == words(for_terminal(text))


@given(any_text)
@example(HOSTILE)
@example("\\|")
@example("`|`")
@example("\\")
def test_markdown_cells_keep_to_themselves(text: str) -> None:
    page = github(f"| a | b |\n|---|---|\n| {for_markdown(text)} | {for_markdown_code(text)} |\n")
    tags = " ".join(tag for tag in page.tags if tag != "code")
    assert tags == "table thead tr th th tbody tr td td"
    name = for_terminal(text).replace("`", r"\x60").replace("|", r"\x7c")
    assert [words(cell) for cell in page.cells] == [words(for_terminal(text)), words(name)]


@given(any_text)
def test_a_code_span_is_one_code_span(text: str) -> None:
    page = github(f"x {for_markdown_code(text)} y")
    assert page.tags == ["p", "code"]


@given(any_text)
@example("```")
@example("~~~")
def test_a_block_shows_the_line_as_it_is(text: str) -> None:
    page = github(for_markdown_block(text))
    assert page.tags == ["pre", "code"]
    assert page.text.rstrip("\n") == for_terminal(text)


@given(st.lists(st.text(max_size=60), unique_by=for_terminal, max_size=8), st.integers(6, 24))
def test_names_stay_apart_when_they_are_shortened(names: list[str], longest: int) -> None:
    labels = told_apart(names, longest)
    assert len(set(labels)) == len(names)


def test_what_differs_in_the_middle_is_kept() -> None:
    paths = [
        f"/kubepods.slice/kubepods-burstable/pod-{pod}/containers/app" for pod in ("checkout", "payments")
    ]
    labels = told_apart(paths, 18)
    assert ["check" in labels[0], "pay" in labels[1]] == [True, True]
