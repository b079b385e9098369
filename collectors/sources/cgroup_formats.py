"""How the files of a cgroup tell figures. Which figures each of them tells is in the registry, `windows.figures`.

| file | source |
|---|---|
| memory.stat, memory.events | cgroup-v2.rst |
| memory.stat, memory.failcnt, memory.oom_control of v1 | cgroup-v1/memory.rst; descendants are in its `total_` lines |
| io.stat | cgroup-v2.rst: a line a device, `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0` |
| blkio.throttle.* of v1 | cgroup-v1/blkio-controller.rst: a line a device and operation, `8:0 Read 4096` |

All count since the cgroup was made, with descendants (blkio where the kernel has the `_recursive` files). A device that
the cgroup never used is in none of them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from collectors.host.readings import Missing, parse_count
from collectors.sources.kernel_files import FileFigures, KernelFile, Parse, flat, flat_number, single
from collectors.windows.figures import CGROUP_FIGURES

# Seen on 6.1: 48 MiB read without a limit on the device left every figure at 0; with one, all were counted.
COUNTS_NOTHING = Missing(
    "cgroup v1 has counted no block I/O; recent kernels count there only for devices with a throttle limit",
    "use cgroup v2 (systemd.unified_cgroup_hierarchy=1)",
)


class FileFormat(NamedTuple):
    """How one file tells figures.

    Attributes:
        names: The file's; of several the first that exists. The registry has the first.
        parser: From the keys that the registry has to a parser of as many figures.
        lag_ns: As of `KernelFile`.
    """

    names: tuple[str, ...]
    parser: Callable[..., Parse]
    lag_ns: int | None = None


def kernel_files(formats: Sequence[FileFormat], *, v1: bool) -> Iterator[KernelFile]:
    """The files, with all figures that the registry says they tell on this version of cgroups."""
    for names, parser, lag_ns in formats:
        keys = {
            spec.name: told.key
            for spec in CGROUP_FIGURES
            if (told := spec.v1 if v1 else spec.v2) and told.file == names[0]
        }
        if keys:
            yield KernelFile(names, tuple(keys), parser(*keys.values()), lag_ns)


def renamed(*keys: str) -> Parse:
    """A parser as `flat`, of keys that had other names: of names split by `|` the first that the file has."""
    names = [key.split("|") for key in keys]

    def parse(text: str, path: str) -> FileFigures:
        return tuple(
            flat_number(text, next((name for name in each[:-1] if f"{name} " in text), each[-1]), path)
            for each in names
        )

    return parse


def by_device(*keys: str) -> Parse:
    """A parser of lines `MAJOR:MINOR KEY=NUMBER …`, of which each key is summed up over the devices."""

    def parse(text: str, path: str) -> FileFigures:
        rows = [
            dict(word.split("=", 1) for word in line.split(" ")[1:] if "=" in word)
            for line in _device_lines(text)
        ]
        return tuple(_sum([row.get(key, "") for row in rows], key, path) for key in keys)

    return parse


def by_operation(*operations: str) -> Parse:
    """A parser of lines `MAJOR:MINOR OPERATION NUMBER`, of which each operation is summed up over the devices."""

    def parse(text: str, path: str) -> FileFigures:
        rows = [line.split(" ") for line in _device_lines(text)]
        figures = tuple(
            _sum([row[-1] for row in rows if row[1:2] == [operation]], operation, path)
            for operation in operations
        )
        return figures if any(figures) else (COUNTS_NOTHING,) * len(figures)

    return parse


def _number(_key: str) -> Parse:
    return single


MEMORY_V2 = (
    # The kernel sums it up every 2 s, and a reading does where that is late by a cycle (FLUSH_TIME, mm/memcontrol.c).
    FileFormat(("memory.stat",), renamed, lag_ns=4_000_000_000),
    # With the mount option memory_localevents it does not count what is below.
    FileFormat(("memory.events",), flat),
)
MEMORY_V1 = (
    FileFormat(("memory.stat",), renamed),
    FileFormat(("memory.failcnt",), _number),
    FileFormat(("memory.oom_control",), flat),
)
IO_V2 = (FileFormat(("io.stat",), by_device, lag_ns=0),)  # summed up as it is read
IO_V1 = tuple(
    FileFormat((f"blkio.throttle.{what}_recursive", f"blkio.throttle.{what}"), by_operation)
    for what in ("io_service_bytes", "io_serviced")
)


def _device_lines(text: str) -> Iterator[str]:
    """The lines about a device, `MAJOR:MINOR …`; a last line without its end was cut off."""
    for line in text.split("\n")[:-1]:
        major, colon, minor = line.partition(" ")[0].partition(":")
        if colon and parse_count(major) is not None and parse_count(minor) is not None:
            yield line


def _sum(texts: list[str], key: str, path: str) -> int | Missing:
    """The sum over the devices; missing where one of them has no valid figure: it might be the largest."""
    counts = [count for text in texts if (count := parse_count(text)) is not None]
    return sum(counts) if len(counts) == len(texts) else Missing(f"{path} has no valid {key} of some device")
