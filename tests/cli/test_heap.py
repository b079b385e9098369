"""The heap of the agent, seen from outside: what its environment makes of malloc in a process of its own."""

import os
import subprocess
import sys

import pytest

from agent.cli.agent import HEAP

FREED = """
blocks = [bytearray(100 << 10) for _ in range(400)]
del blocks[::2], blocks  # glibc keeps what lies between, and its threshold grows with what is freed
held = [bytearray(100 << 10) for _ in range(400)]
top = bytearray(100 << 10)
del held
print(int(open("/proc/self/statm").read().split()[1]))
"""


def resident_pages(settings: dict[str, str]) -> int:
    words = [sys.executable, "-c", FREED]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        words, env=environ | settings, capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


def test_large_blocks_go_back_to_the_kernel() -> None:
    assert resident_pages(HEAP) < resident_pages({})


@pytest.mark.parametrize(
    "process", ["agent.cli.agent_process, agent.daemon.metrics.sink", "agent.cli.record_process"]
)
def test_what_runs_for_long_holds_no_parser_no_renderer_and_no_openssl(process: str) -> None:
    code = f"import sys, {process}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "agent.cli.output" in loaded
    # 4, 8, 2 and 25 MB, what compiles the probes takes 60, and OpenSSL 5.
    assert loaded & {"typer", "rich", "reports.sections", "numpy", "bcc", "_hashlib", "_ssl"} == set()
