import os
import secrets
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from agent.selftest.workloads.disk import BLOCK_BYTES, directory_on_disk
from tests.agent.selftest.workloads.running import becomes_true, children, command, has_ended, neighbour


def io_of(pid: int) -> dict[str, int]:
    """What the kernel says that a process had of disks."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def held_files(pid: int) -> list[str]:
    """The regular files that a process has open."""
    links = (str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    return [link for link in links if link.startswith(directory_on_disk()) and "pipe:" not in link]


def test_what_is_read_comes_from_a_disk() -> None:
    before = psutil.disk_io_counters().read_bytes
    subprocess.run(command("disk", "read", "--operations", "500"), check=True, timeout=60)
    assert psutil.disk_io_counters().read_bytes - before >= 500 * BLOCK_BYTES


@pytest.mark.parametrize("mode", ["write", "sync"])
def test_what_is_written_reaches_a_disk_until_it_is_ended_and_leaves_nothing(mode: str) -> None:
    with subprocess.Popen(command("disk", mode, "--processes", "2", "--pause-ms", "1"), text=True) as process:
        try:
            assert becomes_true(lambda: len(children(process)) == 2)
            workers = children(process)
            assert becomes_true(lambda: all(io_of(each.pid)["write_bytes"] > 1 << 20 for each in workers))
            assert all("(deleted)" in name for each in workers for name in held_files(each.pid))
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        assert becomes_true(lambda: all(has_ended(each) for each in workers))


def test_it_writes_only_when_it_is_asked() -> None:
    name = f"test-{os.getpid()}-{secrets.token_hex(4)}"
    with subprocess.Popen(command("disk", "serve", "--service", name)) as process:
        try:
            with neighbour("ask", "--processes", "1", "--service", name):
                assert becomes_true(lambda: io_of(process.pid)["write_bytes"] > 256 << 20)
        finally:
            process.kill()


def test_where_no_directory_is_on_a_disk_it_says_so() -> None:
    with pytest.raises(OSError, match="none of /proc, /nowhere is on a disk"):
        directory_on_disk(("/proc", "/nowhere"))
