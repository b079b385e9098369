"""Block I/O of a cgroup, per device.

Sources: io.stat on v2 (cgroup-v2.rst), blkio.throttle.io_service_bytes and io_serviced on v1
(cgroup-v1/blkio-controller.rst), with descendants where the kernel has the `_recursive` files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.readings import Missing, excerpt, parse_count, read_lines, read_nested, since

# Seen on 6.1: 48 MiB read without a limit on the device left every figure at 0; with one, all were counted.
COUNTS_NOTHING = Missing(
    "cgroup v1 has counted no block I/O; recent kernels count there only for devices with a throttle limit",
    "use cgroup v2 (systemd.unified_cgroup_hierarchy=1)",
)
_DEVICE = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class DeviceIo:
    """Counted since the cgroup first used the device."""

    read_bytes: int | Missing
    written_bytes: int | Missing
    reads: int | Missing
    writes: int | Missing


_UNUSED = DeviceIo(0, 0, 0, 0)


def read_block_io(directory: Path) -> dict[str, DeviceIo] | Missing:
    """The I/O of one cgroup by device number (`MAJOR:MINOR`); a device that it never used is not in it."""
    path = directory / "io.stat"
    if not path.exists():
        return _v1(directory)
    rows = read_nested(path)
    if isinstance(rows, Missing):
        return rows
    return {device: _v2(row, path) for device, row in rows.items() if _DEVICE.fullmatch(device)}


def block_io_within(
    before: Mapping[str, DeviceIo] | Missing, after: Mapping[str, DeviceIo] | Missing
) -> dict[str, DeviceIo] | Missing:
    """What was counted between two readings of the same cgroup.

    The kernel lists a device from its first use on: one that was not there before counts from zero.
    """
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    return {device: since(before.get(device, _UNUSED), now) for device, now in after.items()}


def device_name(device: str, root: Path = Path("/")) -> str | Missing:
    """The kernel's name (`sda`) of a device number, from sysfs."""
    path = root / "sys/dev/block" / device / "uevent"
    lines = (
        read_lines(path) if _DEVICE.fullmatch(device) else Missing(f"{excerpt(device)} is not MAJOR:MINOR")
    )
    if isinstance(lines, Missing):
        return lines
    names = (line.removeprefix("DEVNAME=") for line in lines if line.startswith("DEVNAME="))
    return next(names, None) or Missing(f"{path} names no device")


def _v2(row: Mapping[str, str], path: Path) -> DeviceIo:
    return DeviceIo(*(_number(row.get(key), key, path) for key in ("rbytes", "wbytes", "rios", "wios")))


def _number(text: str | None, key: str, path: Path) -> int | Missing:
    value = parse_count(text or "")
    return value if value is not None else Missing(f"{path} has no valid {key}")


def _v1(directory: Path) -> dict[str, DeviceIo] | Missing:
    sizes = _by_operation(directory, "blkio.throttle.io_service_bytes")
    counts = _by_operation(directory, "blkio.throttle.io_serviced")
    if isinstance(sizes, Missing):
        return sizes
    if isinstance(counts, Missing):
        return counts
    if not any(counts.values()):
        return COUNTS_NOTHING
    return {device: _v1_device(device, sizes, counts) for device in sorted({device for device, _ in counts})}


def _v1_device(
    device: str, sizes: Mapping[tuple[str, str], int], counts: Mapping[tuple[str, str], int]
) -> DeviceIo:
    absent = Missing(f"blkio.throttle has no valid figure for {device}")
    return DeviceIo(
        read_bytes=sizes.get((device, "Read"), absent),
        written_bytes=sizes.get((device, "Write"), absent),
        reads=counts.get((device, "Read"), absent),
        writes=counts.get((device, "Write"), absent),
    )


def _by_operation(directory: Path, name: str) -> dict[tuple[str, str], int] | Missing:
    """The numbers by device and operation, from lines such as `8:0 Read 4096`."""
    lines = read_lines(directory / f"{name}_recursive")
    if isinstance(lines, Missing):
        lines = read_lines(directory / name)
    if isinstance(lines, Missing):
        return Missing(f"{directory} has neither io.stat nor {name}", "enable the io controller")
    rows = (line.split(" ") for line in lines)
    return {
        (row[0], row[1]): number
        for row in rows
        if len(row) == 3 and _DEVICE.fullmatch(row[0]) and (number := parse_count(row[2])) is not None
    }
