"""Small kernel files that are read again and again: what each holds, and a reader that keeps them open.

To read one of a cgroup's files takes 1 to 2 µs through a descriptor that is open already, and 7 µs with opening and
closing it; to parse it again is needed only when it has changed. (Python 3.11, kernel 6.18.)
"""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collectors.readings import Missing, missing_because, parse_count

Figure = int | float | Missing
Figures = tuple[Figure, ...]
Parse = Callable[[str, str], Figures]

# io.stat is the longest: some 100 bytes per block device.
MAX_BYTES = 32 << 10
# Gone while its descriptor was open: its cgroup was removed. A new one may have its name.
_GONE = (errno.ENODEV, errno.ESRCH)
_NEVER_WAS = (errno.ENOENT, errno.ENOTDIR)
# A file that is not there is looked for again once in so many readings: a controller is enabled seldom, and looking
# takes four times as long as reading.
_LOOK_AGAIN = 30


@dataclass(frozen=True, slots=True)
class KernelFile:
    """A file of a cgroup, and which figures it holds.

    Attributes:
        names: Its name; of several the first that exists.
        figures: Their names.
        parse: From its content and path to its figures, as many as there are names.
    """

    names: tuple[str, ...]
    figures: tuple[str, ...]
    parse: Parse


def flat(*keys: str, factor: int = 1) -> Parse:
    """A parser of the numbers under these keys of a flat keyed file (cgroup-v2.rst), each times `factor`."""

    def parse(text: str, path: str) -> Figures:
        return tuple(flat_number(text, key, path, factor) for key in keys)

    return parse


def flat_number(text: str, key: str, path: str, factor: int = 1) -> int | Missing:
    """The number of the line `KEY NUMBER`; a last line without its end was cut off and does not count."""
    start = 0 if text.startswith(f"{key} ") else text.find(f"\n{key} ") + 1
    end = text.find("\n", start)
    found = start > 0 or text.startswith(f"{key} ")
    value = parse_count(text[start + len(key) + 1 : end]) if found and end >= 0 else None
    return Missing(f"{path} has no valid {key}") if value is None else value * factor


def single(text: str, path: str) -> Figures:
    """The one number that a file holds."""
    value = parse_count(text.strip())
    return (Missing(f"{path} does not hold a number") if value is None else value,)


class FilePool:
    """The files of one reader, of which at most `most` keep their descriptor between two readings.

    `nowhere` is why there are no figures where not even a file's directory is there; None: its path is said.
    """

    def __init__(self, most: int, nowhere: Missing | None = None) -> None:
        self.room = most
        self.nowhere = nowhere

    def file(self, spec: KernelFile, directory: str) -> "PooledFile":
        """A file in a directory; nothing is opened yet."""
        return PooledFile(self, spec, directory)


class PooledFile:
    """One file. `exists` says whether it was there when it was last looked for."""

    __slots__ = (
        *("_absent", "_content", "_descriptor", "_directory", "_figures", "_pool", "_stamp"),
        *("exists", "path", "spec"),
    )

    def __init__(self, pool: FilePool, spec: KernelFile, directory: str) -> None:
        self._pool = pool
        self._directory = directory
        self._descriptor = -1
        self._content: bytes | None = None
        self._figures: Figures = ()
        self._stamp: object = None
        self._absent = 0
        self.spec = spec
        self.path = f"{directory}/{spec.names[0]}"
        self.exists = True

    def read(self, stamp: object = None) -> Figures:
        """The figures now: each a number, or why there is none.

        While a `stamp` other than None is the one of the last reading, the figures are known to be what they were.
        """
        if self._figures and self._is_known(stamp):
            return self._figures
        try:
            content = self._read()
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            self._figures = self._failed(error)
            return self._figures
        if content != self._content:
            self._content = content
            self._figures = self._parse(content)
        self.exists = True
        self._stamp = stamp
        return self._figures

    def _is_known(self, stamp: object) -> bool:
        if self._absent:
            self._absent -= 1
            return True
        return stamp is not None and stamp == self._stamp

    def _failed(self, error: OSError | ValueError) -> Figures:
        self.close()
        self.exists = not (isinstance(error, OSError) and error.errno in _NEVER_WAS)
        self._absent = _LOOK_AGAIN if not self.exists and self._content is None else 0
        self._content = self._stamp = None
        why = self._pool.nowhere if not self.exists and not Path(self._directory).is_dir() else None
        return (why or missing_because(self.path, error),) * len(self.spec.figures)

    def close(self) -> None:
        """Give the descriptor back; may be called twice, and the file may be read again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._pool.room += 1

    def _read(self) -> bytes:
        if self._descriptor >= 0:
            try:
                return os.pread(self._descriptor, MAX_BYTES, 0)
            except OSError as error:
                self.close()
                if error.errno not in _GONE:
                    raise
        descriptor = self._open()
        if self._pool.room > 0:
            self._pool.room -= 1
            self._descriptor = descriptor
            return os.pread(descriptor, MAX_BYTES, 0)
        try:
            return os.pread(descriptor, MAX_BYTES, 0)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        *first, last = (f"{self._directory}/{name}" for name in self.spec.names)
        for path in first:
            with suppress(FileNotFoundError, NotADirectoryError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self.path = path
                return descriptor
        self.path = last
        return os.open(last, os.O_RDONLY | os.O_CLOEXEC)

    def _parse(self, content: bytes) -> Figures:
        if len(content) == MAX_BYTES:
            return (Missing(f"{self.path} is larger than {MAX_BYTES} bytes"),) * len(self.spec.figures)
        return self.spec.parse(content.decode("utf-8", "surrogateescape"), self.path)


@dataclass(frozen=True, slots=True)
class AbsentFile:
    """Stands for a file that this host cannot have."""

    spec: KernelFile
    why: Missing

    def read(self, _stamp: object = None) -> Figures:
        """Why there are no figures."""
        return (self.why,) * len(self.spec.figures)

    def close(self) -> None:
        """Nothing is open."""


def close_all(files: Iterable[PooledFile | AbsentFile]) -> None:
    """Close each of them."""
    for file in files:
        file.close()
