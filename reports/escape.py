r"""Text that a tenant chose, made harmless for the place it goes to.

Cgroup, process and container names and a victim's output are hostile text: they may hold terminal escapes,
markup, text that reverses the reading direction, or bytes that are no text at all (Python keeps those as lone
surrogates). Everything that does not print is shown as a visible escape such as `\x1b`, in every format.
A backslash itself is left alone: systemd's own unit names are full of them.
"""

import html
import os
import re
from collections import Counter
from collections.abc import Sequence

# What is markup anywhere in a line of CommonMark or of GitHub's dialect, what makes an address a link there
# without any markup, and what is markup at the start of a block. Addresses with `@` and `#` come next.
MARKDOWN_ACTIVE = re.compile(
    r"[\\`*_{}\[\]<>|~&$] | :(?=//) | (?<=www)\. | ^[-+=](?=[-+=\s]|$)", re.VERBOSE | re.IGNORECASE
)
# GitHub links mail addresses, mentions and issues in the finished text, where a backslash helps no more, but
# not in code.
MARKDOWN_LINKED = re.compile(r"[@#]+")
LIST_NUMBER = re.compile(r"^(\d+)([.)])(?= |$)")
BACKTICKS = re.compile(r"`+")
MARKDOWN_CODE_ACTIVE = re.compile(r"[`|]")


def for_terminal(text: str) -> str:
    """One line without control characters, bidirectional overrides, invisible characters or line breaks.

    Applying it again changes nothing.
    """
    # Nearly every name is; the daemon's metrics ask for 14,000 in a window of a crowded host.
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _visible(character) for character in text)


def shortened(text: str, longest: int) -> str:
    """Text for a terminal or an axis, cut in the middle where it is longer than `longest` (at least 1) characters."""
    shown = for_terminal(text)
    if len(shown) <= longest:
        return shown
    tail = (longest - 1) // 2
    return f"{shown[: longest - 1 - tail]}…{shown[len(shown) - tail :]}"


def told_apart(names: Sequence[str], longest: int) -> list[str]:
    """Names for a chart, each `shortened`, but so that what differs is kept.

    Args:
        names: Such as the paths of two containers of one pod, which differ in the middle.
        longest: Characters of a label, but for a number where nothing else tells two apart.

    Returns:
        A label for each name; different names have different ones.
    """
    labels = [shortened(name, longest) for name in names]
    alike = {label for label, number in Counter(labels).items() if number > 1}
    for label in alike:
        places = [place for place, other in enumerate(labels) if other == label]
        shared = len(os.path.commonprefix([names[place] for place in places]))  # noqa: RUF071  letters are meant
        for place in places:
            labels[place] = shortened(f"…{names[place][shared:]}", longest)
    return _numbered(labels, names)


def _numbered(labels: list[str], names: Sequence[str]) -> list[str]:
    """With a number at each label that another name has already."""
    owner: dict[str, str] = {}
    for place, name in enumerate(names):
        label, number = labels[place], 1
        while owner.setdefault(label, name) != name:
            number += 1
            label = f"{labels[place]} {number}"
        labels[place] = label
    return labels


def for_html(text: str) -> str:
    """Text for an HTML or SVG element's content or a quoted attribute."""
    return html.escape(for_terminal(text), quote=True)


def for_markdown(text: str) -> str:
    """Prose without active Markdown or HTML, on one line, also fit for a table cell."""
    escaped = MARKDOWN_ACTIVE.sub(r"\\\g<0>", for_terminal(text).strip())
    escaped = LIST_NUMBER.sub(r"\1\\\2", escaped)
    return MARKDOWN_LINKED.sub(r"`\g<0>`", escaped)


def for_markdown_code(text: str) -> str:
    """A name as a code span, also fit for a table cell; what would end either is shown as an escape."""
    shown = MARKDOWN_CODE_ACTIVE.sub(lambda match: _visible(match[0]), for_terminal(text))
    return f"`{shown or ' '}`"


def for_markdown_block(text: str) -> str:
    """A line to be copied as it stands, as a fenced block with a fence longer than any in the line."""
    shown = for_terminal(text)
    longest = max((len(run) for run in BACKTICKS.findall(shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{shown}\n{fence}"


def _visible(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
