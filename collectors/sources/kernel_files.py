"""Small kernel files that are read again and again: what each holds, and a reader that keeps them open.

To read one of a cgroup's files takes 1 to 2 µs through a descriptor that is open already, and 7 µs with opening and
closing it; to parse it again is needed only when it has changed. (Python 3.11, kernel 6.18.)
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from collectors.host.readings import Missing, missing_because, parse_count

Figure = int | float | Missing
FileFigures = tuple[Figure, ...]
Parse = Callable[[str, str], FileFigures]
# By a file's name what stays while its figures must; of a file that is not among them nothing is known.
Stamps = Mapping[str, object]
NO_STAMPS: Stamps = {}

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
        lag_ns: In a cgroup it counts what is below as well, and tells it so late at most; None: it does not.
    """

    names: tuple[str, ...]
    figures: tuple[str, ...]
    parse: Parse
    lag_ns: int | None = None

    @property
    def name(self) -> str:
        """What stands for it."""
        return self.names[0]


def flat(*keys: str, factor: int = 1) -> Parse:
    """A parser of the numbers under these keys of a flat keyed file (cgroup-v2.rst), each times `factor`."""

    def parse(text: str, path: str) -> FileFigures:
        return tuple(flat_number(text, key, path, factor) for key in keys)

    return parse


def flat_number(text: str, key: str, path: str, factor: int = 1) -> int | Missing:
    """The number of the line `KEY NUMBER`; a last line without its end was cut off and does not count."""
    start = 0 if text.startswith(f"{key} ") else text.find(f"\n{key} ") + 1
    end = text.find("\n", start)
    found = start > 0 or text.startswith(f"{key} ")
    value = parse_count(text[start + len(key) + 1 : end]) if found and end >= 0 else None
    return Missing(f"{path} has no valid {key}") if value is None else value * factor


def single(text: str, path: str) -> FileFigures:
    """The one number that a file holds."""
    value = parse_count(text.strip())
    return (Missing(f"{path} does not hold a number") if value is None else value,)


class FilePool:
    """The files of one reader, of which at most `most` keep their descriptor between two readings.

    Only a file does that is read for the second time: two or three of a cgroup's dozen, where the others are known to
    have stood still, and none of a cgroup that was there for a moment. `nowhere` is why there are no figures where not
    even a file's directory is there; None: its path is said.
    """

    def __init__(self, most: int, nowhere: Missing | None = None) -> None:
        self.room = most
        self.nowhere = nowhere

    def file(self, spec: KernelFile, directory: str) -> "PooledFile":
        """A file in a directory; nothing is opened yet."""
        return PooledFile(self, spec, directory)

    def directory(self, specs: Sequence[KernelFile], directory: str) -> "PooledDirectory":
        """Files in one directory; nothing is opened yet."""
        return PooledDirectory(self, specs, directory)


class PooledFile:
    """One file. When it was last looked for, was it there (`exists`), or not even its directory (`nowhere`)?"""

    __slots__ = (
        *("_absent", "_content", "_descriptor", "_directory", "_figures", "_pool", "_stamp"),
        *("exists", "nowhere", "path", "spec"),
    )

    def __init__(self, pool: FilePool, spec: KernelFile, directory: str) -> None:
        self._pool = pool
        self._directory = directory
        self._descriptor = -1
        self._content: bytes | None = None
        self._figures: FileFigures = ()
        self._stamp: object = None
        self._absent = 0
        self.spec = spec
        self.path = f"{directory}/{spec.name}"
        self.exists = True
        self.nowhere = False

    def read(self, stamp: object = None) -> FileFigures:
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
        self.nowhere = False
        self._stamp = stamp
        return self._figures

    def _is_known(self, stamp: object) -> bool:
        if self._absent:
            self._absent -= 1
            return True
        return stamp is not None and stamp == self._stamp

    def _failed(self, error: OSError | ValueError) -> FileFigures:
        self.close()
        self.exists = not (isinstance(error, OSError) and error.errno in _NEVER_WAS)
        self._absent = _LOOK_AGAIN if not self.exists and self._content is None else 0
        self._content = self._stamp = None
        self.nowhere = not self.exists and not os.path.isdir(self._directory)  # noqa: PTH112  Path takes thrice as long
        why = self._pool.nowhere if self.nowhere else None
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
        if self._pool.room > 0 and self._content is not None:
            self._pool.room -= 1
            self._descriptor = descriptor
            return os.pread(descriptor, MAX_BYTES, 0)
        try:
            return os.pread(descriptor, MAX_BYTES, 0)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        for name in self.spec.names[:-1]:
            with suppress(FileNotFoundError, NotADirectoryError):
                return self._open_as(name)
        return self._open_as(self.spec.names[-1])

    def _open_as(self, name: str) -> int:
        self.path = f"{self._directory}/{name}"
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def _parse(self, content: bytes) -> FileFigures:
        if len(content) == MAX_BYTES:
            return (Missing(f"{self.path} is larger than {MAX_BYTES} bytes"),) * len(self.spec.figures)
        return self.spec.parse(content.decode("utf-8", "surrogateescape"), self.path)


class PooledDirectory:
    """Files of one directory. While that is not there, it is looked for less and less often, and they are not."""

    __slots__ = ("_absent", "_directory", "_files", "_nowhere", "_pause", "_there")

    def __init__(self, pool: FilePool, specs: Sequence[KernelFile], directory: str) -> None:
        self._directory = directory
        self._files = [PooledFile(pool, spec, directory) for spec in specs]
        nowhere = pool.nowhere or Missing(f"{directory} does not exist")
        self._nowhere = [(nowhere,) * len(spec.figures) for spec in specs]
        self._there = False
        self._pause = self._absent = 0

    def read(self, stamps: Stamps = NO_STAMPS) -> Sequence[FileFigures]:
        """The figures of each file now, as `PooledFile.read` with its stamp."""
        if self._absent:
            self._absent -= 1
        elif self._there or os.path.isdir(self._directory):  # noqa: PTH112  as above
            self._pause = 0
            found = []
            for file in self._files:
                found.append(file.read(stamps.get(file.spec.name)))
                self._there = not file.nowhere
                if file.nowhere:
                    break
            else:
                return found
        else:
            self._pause = self._absent = min(2 * self._pause + 1, _LOOK_AGAIN)
        return self._nowhere

    def close(self) -> None:
        """As of a file."""
        close_all(self._files)


class AbsentDirectory:
    """Stands for files that this host cannot have."""

    def __init__(self, specs: Sequence[KernelFile], why: Missing) -> None:
        self._figures = [(why,) * len(spec.figures) for spec in specs]

    def read(self, _stamps: Stamps = NO_STAMPS) -> Sequence[FileFigures]:
        """Why there are no figures."""
        return self._figures

    def close(self) -> None:
        """Nothing is open."""


def close_all(files: "Iterable[PooledFile | PooledDirectory | AbsentDirectory]") -> None:
    """Close each of them."""
    for file in files:
        file.close()
