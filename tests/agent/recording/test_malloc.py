"""The heap of a process that runs for long, seen from outside: the settings are a process's own."""

import json
import subprocess
import sys

FREED = """
import gc, json
import agent.recording.malloc as malloc
{keep}
blocks = [bytearray(100 << 10) for _ in range(400)]
del blocks[::2], blocks  # glibc keeps what lies between, and its threshold grows with what is freed
held = [bytearray(100 << 10) for _ in range(400)]
top = bytearray(100 << 10)
del held
rss = int(open("/proc/self/statm").read().split()[1]) * 4096
malloc.search_seldom()
print(json.dumps([rss, gc.get_threshold()[0], gc.get_freeze_count() > 0]))
"""


def run(keep: str) -> list[int]:
    words = [sys.executable, "-c", FREED.format(keep=keep)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    found: list[int] = json.loads(done.stdout)
    return found


def test_large_blocks_go_back_and_the_heap_is_searched_seldom() -> None:
    small, kept = run("malloc.keep_small()"), run("")
    assert small[0] < kept[0]
    assert small[1:] == [20_000, True]
