"""Files that are left unread while their parent's stand still: they hold what was read of them last.

On a hybrid host that is pressure alone; where memory and io are on v2, as in the guests, their counters as well.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.readings import Missing
from collectors.sources import kernel_files
from collectors.sources.cgroup_files import CgroupReading
from collectors.sources.signal_reader import SignalReader
from collectors.sources.unchanged import LEAST_BELOW

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]

# More than what any of the files lags behind (memory.stat: 4 s).
PAUSE_S = 5.0
# Stalls for the disk: what it wrote is on it, and its pages have to be read again. 512 of them: before 5.13 memory.stat
# did not tell of the first 32 on each CPU (MEMCG_CHARGE_BATCH, mm/memcontrol.c).
STALLS = """
import mmap, os, sys
with open(sys.argv[1], "w+b") as file:
    for _ in range(8):
        file.write(b"x" * (1 << 20))
        file.flush()
        os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with mmap.mmap(file.fileno(), 0) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        sum(memory[place] for place in range(0, len(memory), 1 << 14))
"""
INTO_CGROUP = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


@pytest.fixture
def layout() -> CgroupLayout:
    found = detect_layout()
    if found.v2_mount is None:
        pytest.skip(
            "no file of a v1 cgroup counts what is below it and is one of those that may be left unread"
        )
    return found


@pytest.fixture
def pods(layout: CgroupLayout) -> Iterator[list[Path]]:
    assert layout.v2_mount is not None
    parent = layout.v2_mount / f"jostle-unchanged-{os.getpid()}"
    made = [parent / f"pod-{number}" for number in range(LEAST_BELOW)]
    parent.mkdir()
    for controller in (parent / "cgroup.controllers").read_text().split():
        (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    for pod in made:
        pod.mkdir()
    yield made
    for directory in (*made, parent):
        directory.rmdir()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were opened."""
    found: list[str] = []

    def noted(path: str, flags: int) -> int:
        found.append(path)
        return os.open(path, flags)

    monkeypatch.setattr(kernel_files, "os", _Os(noted))
    return found


class _Os:
    """The module `os` with another `open`."""

    def __init__(self, opening: object) -> None:
        self.open = opening

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_what_an_unchanged_parent_saves_is_as_true_as_a_new_reading(
    layout: CgroupLayout, pods: list[Path], opened: list[str], tmp_path: Path
) -> None:
    assert layout.v2_mount is not None
    paths = [f"/{pod.relative_to(layout.v2_mount)}" for pod in pods]
    stalled, others = paths[3], paths[:3] + paths[4:]

    def anew() -> dict[str, CgroupReading]:
        with SignalReader(layout) as other:
            return dict(other.read(paths).cgroups)

    with SignalReader(layout) as reader:

        def later() -> dict[str, CgroupReading]:
            time.sleep(PAUSE_S)
            opened.clear()
            return dict(reader.read(paths).cgroups)

        reader.read(paths)
        _, unmoved = later(), later()
        assert not [path for path in opened if path.endswith(f"{stalled}/io.pressure")]
        assert unmoved == anew()

        subprocess.run(
            ["sh", "-c", INTO_CGROUP, pods[3], sys.executable, "-c", STALLS, tmp_path / "file"], check=True
        )
        found = later()
        assert found == anew()
    assert {path: found[path] for path in others} == {path: unmoved[path] for path in others}
    on_v2 = (pods[3] / "cgroup.controllers").read_text().split()
    grown = ["io_some_ns", *["written_bytes"] * ("io" in on_v2), *["major_faults"] * ("memory" in on_v2)]
    for name in grown:
        before, after = getattr(unmoved[stalled], name), getattr(found[stalled], name)
        assert not isinstance(before, Missing)
        assert after > before, name
