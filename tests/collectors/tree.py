"""Lays out a fake root directory from one readable text.

`=== PATH` starts a file, whose content is the lines up to the next one; `=== PATH/` is a directory;
`=== PATH -> TARGET` is a symbolic link. Paths are relative to the fake root.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from collectors.host.hierarchy import detect_layout
from collectors.sources.cgroup_files import CgroupReader, CgroupReading
from collectors.sources.frequency import CLOCKS
from collectors.sources.signal_reader import SignalReader, SignalReading, signals_within
from collectors.windows.signals import SignalWindow


def _pods(uid: str) -> tuple[str, str]:
    return uid, uid.replace("-", "_")


# What the recorded hosts run: one pod of each QoS class, and a container that Docker started.
BURSTABLE, BURSTABLE_ = _pods("1b2c3d4e-5f60-4718-92a3-b4c5d6e7f801")
BESTEFFORT, BESTEFFORT_ = _pods("2c3d4e5f-6071-4829-a3b4-c5d6e7f80912")
GUARANTEED, GUARANTEED_ = _pods("3d4e5f60-7182-493a-b4c5-d6e7f8091a23")
IDS = {
    "burstable": "a1b2c3d4" * 8,
    "besteffort": "b2c3d4e5" * 8,
    "guaranteed": "c3d4e5f6" * 8,
    "docker": "d4e5f607" * 8,
}
_SLICE = "/kubepods.slice"
SYSTEMD = {
    "burstable": f"{_SLICE}/kubepods-burstable.slice/kubepods-burstable-pod{BURSTABLE_}.slice"
    f"/cri-containerd-{IDS['burstable']}.scope",
    "besteffort": f"{_SLICE}/kubepods-besteffort.slice/kubepods-besteffort-pod{BESTEFFORT_}.slice"
    f"/cri-containerd-{IDS['besteffort']}.scope",
    "guaranteed": f"{_SLICE}/kubepods-pod{GUARANTEED_}.slice/crio-{IDS['guaranteed']}.scope",
    "docker": f"/system.slice/docker-{IDS['docker']}.scope",
    "service": "/system.slice/cron.service",
}
CGROUPFS = {
    "burstable": f"/kubepods/burstable/pod{BURSTABLE}/{IDS['burstable']}",
    "besteffort": f"/kubepods/besteffort/pod{BESTEFFORT}/{IDS['besteffort']}",
    "guaranteed": f"/kubepods/pod{GUARANTEED}/{IDS['guaranteed']}",
    "docker": f"/docker/{IDS['docker']}",
}
TREES = Path(__file__).parent / "trees"
MARK = "=== "
# An msr PMU whose three clocks are cpu-clock (perf_event_open(2): type 1, config 0): it counts ns, idle or not.
SOFTWARE_CLOCKS = "".join(
    f"=== sys/bus/event_source/devices/msr/{file}\n{content}\n"
    for file, content in (("type", "1"), *((f"events/{name}", "event=0x00") for name in CLOCKS))
)


def lay_out(root: Path, text: str) -> Path:
    """Create every entry of `text` below `root`, which is returned."""
    for header, content in entries(text):
        path, arrow, target = header.partition(" -> ")
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            place.symlink_to(target)
        else:
            place.write_text(content)
    return root


def recorded(root: Path, name: str) -> Path:
    """Lay out the recorded tree `trees/NAME.tree` below `root`, which is returned."""
    return lay_out(root, (TREES / f"{name}.tree").read_text())


def entries(text: str) -> Iterator[tuple[str, str]]:
    header, content = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith(MARK):
            if header:
                yield header, content
            header, content = line.removeprefix(MARK).strip(), ""
        else:
            content += line
    if header:
        yield header, content


def noted(name: str, path: str, pattern: str) -> int:
    """The number that `pattern` captures in one file of a recorded tree, without the code under test."""
    content = dict(entries((TREES / f"{name}.tree").read_text()))[path]
    found = re.search(pattern, content, re.MULTILINE)
    assert found is not None, f"{pattern} is not in {path} of {name}"
    return int(found[1])


def figures(root: Path, path: str) -> CgroupReading:
    """What the files of one cgroup below a fake root say now."""
    return CgroupReader(detect_layout(root)).read([path])[path]


def reading(root: Path, path: str) -> SignalReading:
    """All signals of one cgroup and of the host below a fake root now."""
    with SignalReader(detect_layout(root), root) as reader:
        return reader.read([path])


def recorded_window(tmp_path: Path, version: str, path: str) -> SignalWindow:
    """The window of a cgroup between the two recorded trees of `v1` or `v2`, which are up to a minute apart."""
    before, after = (
        reading(recorded(tmp_path / when, f"{version}-{when}"), path) for when in ("before", "after")
    )
    return signals_within(before, replace(after, ended_ns=before.monotonic_ns + 60 * 10**9))


def grown(version: str, path: str, pattern: str) -> int:
    """By how much the number that `pattern` captures differs between the two recorded trees; it must."""
    before, after = (noted(f"{version}-{when}", path, pattern) for when in ("before", "after"))
    assert after > before
    return after - before
