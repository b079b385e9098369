"""Where results and messages go: results to standard output, everything else to standard error."""

import contextlib
import os
import shutil
import sys
from typing import Annotated, TextIO

import typer

from probes.errors import JostleError
from reports.escape import for_terminal
from reports.sections.model import Report

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print all, not the answer alone.")]


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


def width() -> int:
    """Columns to fill: the terminal's, or 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns if _on_terminal() else 100


def colour() -> bool:
    """Whether standard output wants colour (https://no-color.org)."""
    return _on_terminal() and not os.environ.get("NO_COLOR")


def show_report(report: Report, *, verbose: bool) -> None:
    """A report: its answer alone unless all is wanted; on a terminal the answer then ends what was printed."""
    from reports import text

    show(text.render(report, width=width(), colour=colour(), short=not verbose, again=_on_terminal()))


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _silence(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: the interpreter's own last flush would fail once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
