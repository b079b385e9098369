"""Files that hold all of what belongs in them, or do not exist."""

import errno
import os
import resource
import tempfile
from pathlib import Path

from probes.errors import JostleError, UsageError

# Enough for the files of 5,000 cgroups, half of which may stay open.
MOST_FILES = 1 << 17
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def write_whole(path: Path, text: str) -> None:
    """Write a file so that its name never holds half of it; a pipe or a device is simply written to.

    Raises:
        UsageError: It cannot be written there.
        JostleError: There is no room for it.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        raise cannot_write(path, error) from error


def raise_file_limit() -> int:
    """Let this process have as many files open as its hard limit allows, within reason; returns how many.

    What it started before keeps the limit that it was given.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def cannot_write(path: Path, error: OSError, elsewhere: str = "choose another place with -o") -> JostleError:
    """What to raise: a full disk is a failure, any other reason a badly chosen place; `elsewhere` chooses another."""
    if error.errno in _NO_ROOM:
        return JostleError(f"cannot write {path} ({error.strerror})", "make room, or choose another place")
    return UsageError(f"cannot write {path} ({error.strerror})", elsewhere)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
