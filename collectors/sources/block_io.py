"""Block I/O of a cgroup over all devices: bytes and requests since it was made.

Sources: io.stat on v2 (cgroup-v2.rst), blkio.throttle.io_service_bytes and io_serviced on v1
(cgroup-v1/blkio-controller.rst), with descendants where the kernel has the `_recursive` files. A device that the
cgroup never used is in none of them.
"""

from collections.abc import Iterator

from collectors.host.readings import Missing, parse_count
from collectors.sources.kernel_files import FileFigures, KernelFile

# Seen on 6.1: 48 MiB read without a limit on the device left every figure at 0; with one, all were counted.
COUNTS_NOTHING = Missing(
    "cgroup v1 has counted no block I/O; recent kernels count there only for devices with a throttle limit",
    "use cgroup v2 (systemd.unified_cgroup_hierarchy=1)",
)
_BYTES, _REQUESTS = ("read_bytes", "written_bytes"), ("reads", "writes")


def parse_v2(text: str, path: str) -> FileFigures:
    """From lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`."""
    rows = [
        dict(word.split("=", 1) for word in line.split(" ")[1:] if "=" in word)
        for line in _device_lines(text)
    ]
    return tuple(
        _sum([row.get(key, "") for row in rows], key, path) for key in ("rbytes", "wbytes", "rios", "wios")
    )


def parse_v1(text: str, path: str) -> FileFigures:
    """From lines such as `8:0 Read 4096`."""
    rows = [line.split(" ") for line in _device_lines(text)]
    figures = tuple(
        _sum([row[-1] for row in rows if row[1:2] == [operation]], operation, path)
        for operation in ("Read", "Write")
    )
    return figures if any(figures) else (COUNTS_NOTHING, COUNTS_NOTHING)


V2_FILES = (KernelFile(("io.stat",), (*_BYTES, *_REQUESTS), parse_v2, lag_ns=0),)  # summed up as it is read
V1_FILES = (
    KernelFile(
        ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"), _BYTES, parse_v1
    ),
    KernelFile(("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"), _REQUESTS, parse_v1),
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
