"""matplotlib's SVG made fit to stand inside an HTML page: themed, without clashing ids, with a name to read out."""

import re
import xml.etree.ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
# What charts are drawn in, and the CSS variables that take its place, so that one chart serves light and dark.
PALETTE = {
    "#16181d": "var(--ink)",
    "#5a606b": "var(--muted)",
    "#d5d8de": "var(--rule)",
    "#0b5fa5": "var(--without)",
    "#b8460e": "var(--with)",
    "#fefdfc": "var(--paper)",
}
INK, MUTED, RULE, WITHOUT, WITH, PAPER = PALETTE
COLOUR = re.compile("|".join(PALETTE))
REFERENCE = re.compile(r"url\(#([^)]+)\)")

ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def embeddable(drawn: str, prefix: str, title: str, description: str, *, width_rem: float) -> str:
    """An `<svg>` element to put into a page.

    Args:
        drawn: a whole SVG file as matplotlib writes it, in the colours of `PALETTE`.
        prefix: starts every id in it; unique in the page, letters and hyphens.
        title: read out as the image's name.
        description: read out after it.
        width_rem: at most, in the page's letters, so that charts of all widths have letters of one size.
    """
    root = ET.fromstring(drawn)  # noqa: S314  matplotlib wrote it a moment ago
    _drop(root, {f"{{{SVG}}}metadata", f"{{{SVG}}}style"})
    for element in root.iter():
        element.attrib = {name: _rewritten(name, value, prefix) for name, value in element.attrib.items()}
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "class": "chart",
        "style": f"max-width: {width_rem:g}rem",
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-description",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(
            f"{{{SVG}}}{tag}", {"id": f"{prefix}-{'title' if tag == 'title' else 'description'}"}
        )
        element.text = text
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")


def _drop(element: ET.Element, tags: set[str]) -> None:
    for child in list(element):
        if child.tag in tags:
            element.remove(child)
        else:
            _drop(child, tags)


def _rewritten(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == f"{{{XLINK}}}href":
        return f"#{prefix}-{value.removeprefix('#')}"
    return COLOUR.sub(lambda match: PALETTE[match[0]], REFERENCE.sub(rf"url(#{prefix}-\1)", value))
