"""Where compiled probes are kept, so that a start needs no compiler: files of `CompiledProbes.to_text`, by their key.

Root loads what they hold into the kernel. So they are taken only from a directory, and as files, that belong to this
user or root and that nobody else may write to; whatever else is wrong with one, it is compiled anew and written over.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from probes.compiled import CompiledProbes, DamagedError

PREPARED = Path("/usr/share/jostle/probes")
"""Where `jostle prepare` files are installed; only read."""
CACHE = Path("/var/cache/jostle")
"""Root's own. The daemon, a user of its own, keeps its files elsewhere and reads these."""
_SUFFIX = ".probes"
_OURS = re.compile(r"\.?[0-9a-f]{64}\.probes(\.[0-9a-f]{8})?")
_MOST_BYTES = 8 << 20
# One for each set of counters, sizes and kernels that was started lately; 150 kB each.
_MOST_FILES = 12


def directories(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where to look, in the first to keep: JOSTLE_CACHE_DIRECTORY alone, or else what systemd gives the unit first."""
    if chosen := environ.get("JOSTLE_CACHE_DIRECTORY"):
        return (Path(chosen),)
    given = environ.get("CACHE_DIRECTORY")
    return (*([Path(given)] if given else []), CACHE, PREPARED)


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked for: the probes and their file, or why it was not taken; neither where nothing was kept."""

    probes: CompiledProbes | None
    path: Path
    why_not: str | None = None


def find(key: str, directory: Path) -> Found:
    """The probes of this key in a directory: under the name that `keep` gives them, or in any other file there."""
    own = f"{key}{_SUFFIX}"
    try:
        with _opened(directory) as opened:
            names = sorted(name for name in os.listdir(opened) if name.endswith(_SUFFIX))  # noqa: PTH208  by descriptor
            if own in names:
                return _taken(key, directory / own, opened)
            for name in [name for name in names if not _OURS.fullmatch(name)][:_MOST_FILES]:
                with contextlib.suppress(OSError, ValueError):
                    if f'"key": "{key}"' in _read(name, opened)[:1024]:
                        return _taken(key, directory / name, opened)
    except FileNotFoundError:
        pass
    except OSError as error:
        return Found(None, directory, _describe(error))
    return Found(None, directory / own)


def keep(probes: CompiledProbes, directory: Path) -> str | None:
    """Write the probes, whole or not at all; the oldest of many go. None, or why it cannot be."""
    name = f"{probes.key}{_SUFFIX}"
    temporary = f".{name}.{os.urandom(4).hex()}"
    try:
        directory.mkdir(0o755, exist_ok=True)
        with _opened(directory) as opened:
            try:
                _write(probes.to_text(), temporary, opened)
                os.rename(temporary, name, src_dir_fd=opened, dst_dir_fd=opened)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=opened)
                raise
            _remove_oldest(opened)
    except OSError as error:
        return f"{directory}: {_describe(error)}"
    return None


def _taken(key: str, path: Path, directory: int) -> Found:
    try:
        probes = CompiledProbes.from_text(_read(path.name, directory))
    except OSError as error:
        return Found(None, path, _describe(error))
    except (UnicodeDecodeError, DamagedError):
        return Found(None, path, "it is damaged")
    return Found(probes, path) if probes.key == key else Found(None, path, "it is of other probes")


def _describe(error: OSError) -> str:
    return error.strerror or str(error)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _require_own(os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _require_own(status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()} or stat.S_IMODE(status.st_mode) & 0o022:
        raise PermissionError("somebody else may write to it")


def _read(name: str, directory: int) -> str:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        status = os.fstat(file.fileno())
        _require_own(status)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError("it is no regular file")
        return file.read(_MOST_BYTES).decode("ascii")


def _write(text: str, name: str, directory: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o644, dir_fd=directory), "w", encoding="ascii") as file:
        file.write(text)


def _remove_oldest(directory: int) -> None:
    """Only what `keep` has written: neither what was prepared nor, in a directory badly chosen, anything else."""
    with os.scandir(directory) as entries:
        files = [
            (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
            for entry in entries
            if _OURS.fullmatch(entry.name)
        ]
    for _, name in sorted(files, reverse=True)[_MOST_FILES:]:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
