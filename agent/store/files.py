"""Files that hold all of what belongs in them or do not exist, private, and where no stranger can get between.

Whoever may write to a directory, or to one above it, can put a link where a file is about to be made. So a path is
looked through from the root of the file system down: each directory and each link on the way belongs to somebody who is
trusted, and nobody else may write to it (`/tmp` and its like are sticky: there each name is its owner's). What has
passed nobody else can change, so from then on the path is as good as a descriptor.
"""

import errno
import fcntl
import os
import resource
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from probes.errors import JostleError, UsageError

# Enough for the files of 5,000 cgroups, half of which may stay open.
MOST_FILES = 1 << 17
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
# What is recorded tells of everybody on the host. A stricter umask holds.
DIRECTORY_MODE, FILE_MODE = 0o700, 0o600
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ELSEWHERE = "choose another place with -o"
_MOST_LINKS = 40  # as the kernel: path_resolution(7)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that its name never holds half of it; a pipe or a device is simply written to.

    Raises:
        UsageError: It cannot be written there, or somebody else could change what is.
        JostleError: There is no room for it.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            if not os.path.realpath(path).startswith(
                "/proc/"
            ):  # where a descriptor that the caller opened is
                own_place(path)
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        else:
            _replace(own_place(path), text)
    except OSError as error:
        raise cannot_write(path, error) from error


def append_line(path: Path, header: str, line: str) -> None:
    """Add a line to a series that begins with this header, which a new file gets; several writers take turns.

    Raises:
        UsageError: It holds something else, it cannot be written there, or somebody else could change what is.
    """
    try:
        descriptor = os.open(own_place(path), os.O_RDWR | os.O_APPEND | os.O_CREAT | _SAFELY, FILE_MODE)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            begins = (
                file.read(len(header.encode())) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b"-"
            )
            if begins not in (b"", header.encode()):
                raise UsageError(f"{path} is not a series of verdicts", "name another file, or a new one")
            file.write(("" if begins else header).encode() + line.encode(errors="surrogateescape"))
    except OSError as error:
        raise cannot_write(path, error) from error


def own_place(path: Path, elsewhere: str = _ELSEWHERE, *, make: bool = True) -> Path:
    """The real path of what is to be written, in a directory that only those who are trusted can change.

    Args:
        path: May be a link, and need not exist.
        elsewhere: What to do instead, for the message.
        make: Whether directories that are missing are made, private.

    Raises:
        UsageError: Somebody else owns it, or can change the way to it.
        OSError: It cannot be looked at, or a directory cannot be made.
    """
    trusted = trusted_users()
    left = list(reversed(path.absolute().parts[1:]))
    at, links = Path("/"), 0
    while left:
        here = at / left.pop()
        if here.name == "..":
            at = at.parent
            continue
        if make and left and not os.path.lexists(here):
            with suppress(
                FileExistsError
            ):  # another thread or process was first: whose it is, is looked at below
                here.mkdir(DIRECTORY_MODE)
        try:
            found = here.lstat()
        except FileNotFoundError:
            if left:
                raise
            return here
        if stranger := _stranger_in(found, trusted):
            raise UsageError(f"cannot write {path}: {here} {stranger}", elsewhere)
        at = here
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = here.readlink()
            at = Path("/") if target.is_absolute() else here.parent
            left.extend(reversed(target.parts[target.is_absolute() :]))
    return at


def own_directory(path: Path, elsewhere: str = _ELSEWHERE, *, make: bool = True) -> Path:
    """The real path of a directory that is `own_place`; raises as that does."""
    return own_place(path / ".jostle", elsewhere, make=make).parent


def is_shared(directory: Path) -> bool:
    """Whether others may make files of their own in a directory, as in /tmp."""
    return bool(directory.stat().st_mode & stat.S_IWOTH)


def make_private(path: Path) -> int:
    """A descriptor of a new file, for writing: it was not there before, not even as a link.

    Raises:
        OSError: It is there, or cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, FILE_MODE)


def trusted_users() -> frozenset[int]:
    """Who may own what jostle writes to, by uid.

    Root, and the user that jostle runs as. And whoever called it with sudo, and whoever owns jostle's own files: both
    can have root run what they like.
    """
    caller = os.environ.get("SUDO_UID", "")
    return frozenset(
        {0, os.geteuid(), Path(__file__).stat().st_uid} | ({int(caller)} if caller.isdecimal() else set())
    )


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


def cannot_write(path: Path, error: OSError, elsewhere: str = _ELSEWHERE) -> JostleError:
    """What to raise: a full disk is a failure, any other reason a badly chosen place; `elsewhere` chooses another."""
    if error.errno in _NO_ROOM:
        return JostleError(f"cannot write {path} ({error.strerror})", "make room, or choose another place")
    return UsageError(f"cannot write {path} ({error.strerror})", elsewhere)


def _stranger_in(found: os.stat_result, trusted: frozenset[int]) -> str | None:
    """Who else could change what lies there, in words.

    Root's group is root, and a group of the owner's own number is the owner's alone, as many systems give to each user.
    """
    if found.st_uid not in trusted:
        return f"belongs to user {found.st_uid}, who could change what is written there"
    writers = stat.S_IWOTH | (0 if found.st_gid in {0, found.st_uid} else stat.S_IWGRP)
    if stat.S_ISDIR(found.st_mode) and found.st_mode & writers and not found.st_mode & stat.S_ISVTX:
        return "is a directory that other users may write to"
    return None


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
