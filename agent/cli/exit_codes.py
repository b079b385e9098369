"""How a process of jostle ends: with a result, or with one line on standard error, and the contract's exit code."""

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from agent.cli.output import say
from agent.sandbox.interrupts import Interrupted
from probes.errors import JostleError

EXIT_INTERRUPTED = 130


def end_with(work: Callable[[], int], *, debug: bool) -> NoReturn:
    """Do the work and exit with the code that it returns, or with that of what it raised."""
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
    sys.exit(code)


def _failure(error: Exception) -> JostleError:
    """What to tell and how to exit."""
    if isinstance(error, JostleError):
        return error
    if isinstance(error, OSError):
        return JostleError(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    return JostleError(f"unexpected {type(error).__name__}: {error}", "run again with `jostle --debug`")
