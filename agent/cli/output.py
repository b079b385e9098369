"""Where results and messages go: results to standard output, everything else to standard error."""

import codecs
import contextlib
import io
import locale
import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from probes.errors import JostleError
from reports.escape import for_terminal

if TYPE_CHECKING:
    from reports.sections.model import Report

_ASCII = str.maketrans(
    {
        "─": "-",
        "━": "-",
        "│": "|",
        "├": "|",
        "└": "`",
        "█": "#",
        "░": ".",
        "…": "~",
        "·": "-",
        "’": "'",
        "×": "x",
        "−": "-",
        "±": "+-",
        "µ": "u",
        "μ": "u",
        "√": "sqrt ",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        **dict(zip("▁▂▃▄▅▆▇", ".:-=+*%", strict=True)),
    }
)
_ERRORS = "jostle.ascii"
# What COLUMNS may ask for: tables narrower than this hold no word, and rich fills whole lines.
LEAST_WIDTH, MOST_WIDTH = 20, 1000


def prepare_streams() -> None:
    """Let a stream show what its encoding lacks by what looks like it, or as an escape.

    Python writes UTF-8 under LC_ALL=C too (PEP 540), to terminals that said that they have none.
    """
    codecs.register_error(_ERRORS, _look_alike)
    asked = {"PYTHONIOENCODING", "PYTHONUTF8"} & os.environ.keys()
    no_utf8 = not asked and locale.nl_langinfo(locale.CODESET).startswith("ANSI_X3.4")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii" if no_utf8 else None, errors=_ERRORS)


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_ASCII)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


def say(message: str) -> None:
    """One line for the person at the terminal, made harmless. That nobody reads it stops nothing."""
    if sys.stderr is None:
        return
    try:
        print(for_terminal(message), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def show(result: str) -> None:
    """A result, to standard output. A reader that went away (`| head -1`) is not a failure.

    Raises:
        JostleError: It cannot be written.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(result)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise JostleError(f"cannot write to standard output ({error.strerror})") from error


def show_document(result: str) -> None:
    """A result that names its own encoding, UTF-8, whatever the terminal has. Raises as `show` does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    show(result)


def width() -> int:
    """Columns to fill: COLUMNS where it is set, else the terminal's, or 100 where there is none."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return max(LEAST_WIDTH, min(int(wanted), MOST_WIDTH))
    return shutil.get_terminal_size((100, 24)).columns if _on_terminal() else 100


def colour() -> bool:
    """Whether standard output wants colour (https://no-color.org), and its terminal has any."""
    return _on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show_report(report: "Report", *, verbose: bool) -> None:
    """A report: its answer alone unless all is wanted; on a terminal the answer then ends what was printed."""
    from reports import text

    show(text.render(report, width=width(), colour=colour(), short=not verbose, again=_on_terminal()))


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _silence(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: the interpreter's own last flush would fail once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
