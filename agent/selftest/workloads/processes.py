"""Child processes that do not outlive their parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def spawn(work: Callable[[], None]) -> int:
    """Run `work` in a child process and return its pid; the child exits 0, or 1 with a traceback.

    The child is killed when its parent ends for any reason, SIGKILL included. Raises OSError if there can be
    no further process.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _die_with(parent)
        work()
        status = 0
    except Exception:  # noqa: BLE001  nothing may return into the caller's code: this is another process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _die_with(parent: int) -> None:
    """Have the kernel send SIGKILL to this process when its parent ends: prctl(2), PR_SET_PDEATHSIG."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the call, so no signal will come
        os._exit(1)
