"""Small kernel files that are read again and again: what each holds, and a reader that parses what has changed.

To open, read and close one of a cgroup's files takes 7 µs, to read one that is kept open 1 to 2. (Python 3.11, kernel
6.18.) A recording keeps them open: a reading of 300 cgroups takes 20 ms of CPU then, and 40 without, which for 200 in
windows of 1 s would be 1.3 % of a core more, beyond the goal of 2 %. The agent does not: in 10 s it is a tenth of that.
"""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from collectors.host.readings import Missing, missing_because, parse_count

Figure = int | float | Missing
FileFigures = tuple[Figure, ...]
Parse = Callable[[str, str], FileFigures]
ChangeTokens = Mapping[str, object]
"""By a file's name what stays the same while its figures must; of a file that is not among them nothing is known."""

# io.stat is the longest: some 100 bytes per block device.
MAX_BYTES = 32 << 10
# Gone while it was open: its cgroup was removed. A new one may have its name.
_GONE = (errno.ENODEV, errno.ESRCH)
_NEVER_WAS = (errno.ENOENT, errno.ENOTDIR)
_NO_FILE = FileNotFoundError(errno.ENOENT, "")
# What is not there is looked for less and less often, at last once in so many readings: a controller is enabled
# seldom, and on a hybrid host most cgroups are in one of the hierarchies alone.
_LONGEST_PAUSE = 30


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
        """The name that stands for the file: the first of `names`."""
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


class FileReader:
    """One file in one directory. What it keeps open is closed with it.

    Attributes:
        path: As it was last looked for.
        exists: It was there then.
        nowhere: Not even its directory was.
    """

    __slots__ = (
        *("_beside", "_content", "_descriptor", "_directory", "_figures", "_keep_below", "_left_out"),
        *("_no_directory", "_pause", "_token"),
        *("exists", "nowhere", "path", "spec"),
    )

    def __init__(
        self,
        spec: KernelFile,
        directory: str,
        no_directory: Missing | None = None,
        keep_below: int = 0,
        beside: "FileReader | None" = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            spec: Which file.
            directory: Where it is.
            no_directory: Why there are no figures where not even the directory is there; None: the path is said.
            keep_below: From the second reading on it stays open while its descriptor is less, which the kernel makes as
                small as it can: so many files at most are open in the process.
            beside: A file of the same directory that is always read before this one: where there is no directory, it
                alone looks for it. Of 300 cgroups that are in one hierarchy of two, that saves 1.5 ms of 20.
        """
        self._beside = beside
        self._directory = directory
        self._descriptor = -1
        self._keep_below = keep_below
        self._no_directory = no_directory
        self._content: bytes | None = None
        self._figures: FileFigures = ()
        self._token: object = None
        self._pause = self._left_out = 0
        self.spec = spec
        self.path = f"{directory}/{spec.name}"
        self.exists = True
        self.nowhere = False

    def read(self, token: object = None) -> FileFigures:
        """The figures now: each a number, or why there is none.

        While a change token other than None is the one of the last reading, they are known to be what they were.
        """
        if self._left_out:
            self._left_out -= 1
            return self._figures
        if self._beside is not None and self._beside.nowhere:
            self._content = self._token = None
            return (self._no_directory or missing_because(self.path, _NO_FILE),) * len(self.spec.figures)
        if token is not None and token == self._token:
            return self._figures
        try:
            content = self._read()
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            self._figures = self._failed(error)
            return self._figures
        if content != self._content:
            self._content = content
            self._figures = self._parse(content)
        self._token = token
        self._pause = 0
        self.exists = True
        self.nowhere = False
        return self._figures

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failed(self, error: OSError | ValueError) -> FileFigures:
        self.exists = not (isinstance(error, OSError) and error.errno in _NEVER_WAS)
        if not self.exists and self._content is None:
            self._pause = self._left_out = min(2 * self._pause + 1, _LONGEST_PAUSE)
        self._content = self._token = None
        self.nowhere = not self.exists and not os.path.isdir(self._directory)  # noqa: PTH112  Path takes thrice as long
        why = self._no_directory if self.nowhere else None
        return (why or missing_because(self.path, error),) * len(self.spec.figures)

    def _read(self) -> bytes:
        if self._descriptor >= 0:
            try:
                return os.pread(self._descriptor, MAX_BYTES, 0)
            except OSError as error:
                self._close()
                if error.errno not in _GONE:
                    raise
        descriptor = self._open()
        try:
            return os.pread(descriptor, MAX_BYTES, 0)
        finally:
            # Two or three of a cgroup's dozen are read twice, where the others are known to be unchanged.
            if descriptor < self._keep_below and self._content is not None:
                self._descriptor = descriptor
            else:
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


class AbsentFile:
    """Stands for a file that this host cannot have."""

    __slots__ = ("_figures", "spec")

    def __init__(self, spec: KernelFile, why: Missing) -> None:
        self.spec = spec
        self._figures = (why,) * len(spec.figures)

    def read(self, _token: object = None) -> FileFigures:
        """Why there are no figures."""
        return self._figures
