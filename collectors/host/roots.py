"""Where the host's files are: at `/`, or, for a jostle in a container, where that has the host's root mounted."""

import os
import stat
from pathlib import Path

from collectors.host.readings import Missing, missing_because
from probes.errors import UsageError

HOST_ROOT = "JOSTLE_HOST_ROOT"
_MOST_LINKS = 40  # as the kernel has it (MAXSYMLINKS)


def of_host(root: Path = Path("/")) -> Path:
    """The root of the host's files where `/` is asked for: that of JOSTLE_HOST_ROOT; any other root is as it is."""
    return Path(os.environ.get(HOST_ROOT) or "/") if root == Path("/") else root


def set_host_root(folder: str) -> None:
    """Take the host's files from below `folder`, here and in the processes that are started.

    Raises:
        UsageError: It is no directory that holds a host's /proc.
    """
    if not Path(folder, "proc/1").is_dir():
        raise UsageError(
            f"there is no host's root at {folder}: {folder.rstrip('/')}/proc/1 is not there",
            "mount all of it, with what is mounted below: -v /:/host:ro,rslave, and --host-root /host",
        )
    os.environ[HOST_ROOT] = str(Path(folder).absolute())


def inside(root: Path, path: Path) -> Path | Missing:
    """The file that a path below `root` means to who has that root as `/`, as chroot(2) would have it.

    Links are followed by their text, those that are absolute from `root` on: they were made for the host, and must not
    lead out of what is mounted of it.
    """
    top = str(root).rstrip("/")
    found, links = top, 0
    pending = str(path)[len(top) :].split("/")[::-1]
    try:
        # Texts, not paths, which would take three quarters of the time that a container's name takes.
        while pending:
            part = pending.pop()
            following = f"{found}/{part}"
            if part in ("", "."):
                continue
            if part == "..":
                found = found.rpartition("/")[0] if len(found) > len(top) else found
            elif not stat.S_ISLNK(os.lstat(following).st_mode):
                found = following
            elif links == _MOST_LINKS:
                return Missing(f"{path} cannot be read: a loop of links")
            else:
                links += 1
                target = os.readlink(following)  # noqa: PTH115  a text, as above
                found = top if target.startswith("/") else found
                pending.extend(target.split("/")[::-1])
    except (OSError, ValueError) as error:
        return missing_because(path, error)
    return Path(found or "/")
