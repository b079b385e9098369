import os
import secrets
import subprocess
from pathlib import Path

import pytest

from agent.selftest.workloads.disk import directory_on_disk
from agent.selftest.workloads.memory import main
from tests.agent.selftest.workloads.running import becomes_true, command, neighbour
from tests.agent.selftest.workloads.test_disk import io_of


def kept_bytes(pid: int) -> int:
    """What a process has of memory that is no file's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["RssAnon"].split()[0]) << 10


def test_a_file_is_looked_up_and_then_it_ends() -> None:
    words = command("memory", "look-up", "--operations", "500", "--file-mib", "4")
    assert subprocess.run(words, check=True, timeout=60).returncode == 0


def test_what_is_streamed_takes_memory_and_no_disk() -> None:
    with subprocess.Popen(command("memory", "stream", "--file-mib", "32")) as process:
        try:
            assert becomes_true(lambda: io_of(process.pid)["rchar"] >= 64 << 20)
            assert io_of(process.pid)["write_bytes"] < 1 << 20
            (number, *_) = (
                each.name
                for each in Path(f"/proc/{process.pid}/fd").iterdir()
                if str(each.readlink()).startswith(directory_on_disk())
            )
            file = os.open(f"/proc/{process.pid}/fd/{number}", os.O_RDONLY)
            # Only from memory, else EAGAIN: preadv2(2).
            assert os.preadv(file, [bytearray(4096)], 31 << 20, os.RWF_NOWAIT) == 4096
            os.close(file)
            assert io_of(process.pid)["read_bytes"] < 32 << 20
        finally:
            process.kill()


def test_it_keeps_memory_only_when_it_is_asked() -> None:
    name = f"test-{os.getpid()}-{secrets.token_hex(4)}"
    with subprocess.Popen(command("memory", "serve", "--keep-mib", "96", "--service", name)) as process:
        try:
            subprocess.run(
                command("memory", "look-up", "--operations", "1", "--file-mib", "1", "--after", name),
                check=True,
                timeout=60,
            )
            assert kept_bytes(process.pid) < 96 << 20
            with neighbour("ask", "--processes", "1", "--service", name):
                assert becomes_true(lambda: kept_bytes(process.pid) >= 96 << 20)
        finally:
            process.kill()


def test_what_it_shall_do_is_said() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
