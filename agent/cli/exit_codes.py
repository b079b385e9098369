"""How a process of jostle ends: with a result, with one line on standard error, or as another; with which exit code."""

import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

from agent.cli.output import say
from agent.sandbox.interrupts import EXIT_INTERRUPTED, SIGNALS, Interrupted, end_when_still
from probes.errors import JostleError
from probes.isolated import python


def end_with(
    work: Callable[[], int], *, debug: bool, ended_by: Collection[int] = SIGNALS, stood_s: float = math.inf
) -> NoReturn:
    """Do the work and exit with the code that it returns, or with that of what it raised.

    Should it hang, one of the signals `ended_by` ends it all the same; `stood_s` as in `end_when_still`.
    """
    end_when_still(ended_by, stood_s)
    try:
        code = work()
    except (Interrupted, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last resort: a line instead of a traceback
        if debug:
            traceback.print_exception(error)
        failure = _failure(error)
        say(f"jostle: {failure}")
        code = failure.exit_code
    _flush()
    sys.exit(code)


def _flush() -> None:
    """Write what is left for standard output. When Python ends, a signal would not end it where nobody reads."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except Interrupted:
        os._exit(EXIT_INTERRUPTED)
    except (OSError, ValueError):
        return  # Python tries again, and says it


def become(module: str, *words: str, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Go on as one of jostle's modules in this process, without the command line's parser, which would keep 13 MB.

    Signals that come meanwhile are blocked until the module unblocks them.

    Args:
        module: Its dotted name; named and not imported, it needs other modules than this process.
        words: Its arguments.
        environment: Variables to set besides those of this process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    vector = python(module, *words)
    os.execve(vector[0], vector, {**os.environ, **(environment or {})})  # noqa: S606  no shell is meant


def _failure(error: Exception) -> JostleError:
    """What to tell and how to exit."""
    if isinstance(error, JostleError):
        return error
    if isinstance(error, OSError):
        return JostleError(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    return JostleError(f"unexpected {type(error).__name__}: {error}", "run again with `jostle --debug`")
