"""What all charts are drawn on: matplotlib's SVG, made fit to stand inside an HTML page."""

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.escape import shortened, told_apart

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
WIDTH_PT = 400
REM_PER_PT = 34 / WIDTH_PT  # on the page
LONGEST_NAME = 26  # on an axis
STYLE: dict[Any, Any] = {  # which keys there are, matplotlib says in its types only of late
    "svg.fonttype": "none",  # text stays text: it can be searched, and scaled by the reader
    "svg.hashsalt": "jostle",  # the same figures give the same file
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "grid.color": RULE,
    "legend.frameon": False,
}


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


def chart(
    draw: Callable[[Axes], None],
    height_pt: int,
    prefix: str,
    title: str,
    description: str,
    *,
    width_pt: int = WIDTH_PT,
) -> str:
    """An `<svg>` element with one pair of axes.

    Args:
        draw: Fills the axes.
        height_pt: Of the whole.
        prefix: Starts every id in it; unique in the page, letters and hyphens.
        title: The image's name, read out.
        description: Read out after it; that the table has the figures is added.
        width_pt: Of the whole.
    """
    return _svg(lambda figure: draw(figure.subplots()), (width_pt, height_pt), prefix, title, description)


def panels(
    draw: Callable[[Axes, int], None],
    names: Sequence[str],
    labels: tuple[str, str],
    prefix: str,
    title: str,
    *,
    one_scale: bool,
) -> str:
    """An `<svg>` element with a panel for each name, one above the other, over one horizontal axis.

    Args:
        draw: Fills the axes of the panel of this number.
        names: At least one.
        labels: Of the horizontal and of the vertical axis.
        prefix: As for `chart`.
        title: As for `chart`.
        one_scale: The vertical axes are alike, too.
    """

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(names), sharex=True, sharey=one_scale, squeeze=False)[:, 0]
        for number, (axes, name) in enumerate(zip(grid, names, strict=True)):
            draw(axes, number)
            axes.set_title(shortened(name, 2 * LONGEST_NAME), loc="left", fontsize=10)
        grid[-1].set_xlabel(labels[0])
        figure.supylabel(labels[1], fontsize=11)

    scale = "all on one scale" if one_scale else "each on a scale of its own"
    description = f"One panel for each, those that waited longest first, {scale}."
    return _svg(fill, (WIDTH_PT, 90 + 70 * len(names)), prefix, title, description)


def named_bars(axes: Axes, names: Sequence[str], lengths: Sequence[float], figures: Sequence[str]) -> None:
    """Horizontal bars, the first on top, each between its name and its figure."""
    axes.barh(range(len(names)), lengths, color=WITH, height=0.62)
    name_rows(axes, names, figures)


def name_rows(axes: Axes, names: Sequence[str], figures: Sequence[str]) -> None:
    """A name to the left and a figure to the right of each row, the first on top."""
    for row, figure in enumerate(figures):
        axes.annotate(figure, (1.01, row), xycoords=("axes fraction", "data"), va="center")
    shown = told_apart(names, LONGEST_NAME)
    axes.set(yticks=range(len(names)), yticklabels=shown, ylim=(len(names) - 0.5, -0.5))
    axes.grid(axis="x")


def rows_height_pt(rows: int) -> int:
    """The height of a chart of that many named rows."""
    return 70 + 30 * rows


def legend(axes: Axes, columns: int) -> None:
    """A legend above the axes, if anything in them has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.6
        )


def _svg(
    fill: Callable[[Figure], None], size_pt: tuple[int, int], prefix: str, title: str, description: str
) -> str:
    width_pt, height_pt = size_pt
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # matplotlib's own font measures the text but the reader's font draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width_pt / 72, height_pt / 72), layout="constrained")
        fill(figure)
        file = StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    described = f"{description} The table below has the figures."
    return embeddable(file.getvalue(), prefix, title, described, width_rem=round(width_pt * REM_PER_PT))
