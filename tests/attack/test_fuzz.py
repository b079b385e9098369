"""Files that strangers have changed: a part of `make fuzz`, always the same, and that it finds what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.fuzz import MOST_BYTES, ROOT, fault, jostle

SEED, MUTATIONS = 1, 110


# In a process of its own: what forks from that of all tests begins with their memory.
FUZZED = """
import sys
from pathlib import Path
from tests.attack.fuzz import findings
for name, _, wrong in findings(Path(sys.argv[1]), int(sys.argv[2]), iter(range(int(sys.argv[3])))):
    print(name, wrong)
print("all were read")
"""


def test_every_mutation_ends_in_a_result_or_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FUZZED, str(tmp_path), str(SEED), str(MUTATIONS)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert (done.stdout, done.returncode) == ("all were read\n", 0), done.stderr


def _hog(_: Path) -> None:
    assert b"x" * (MOST_BYTES - (16 << 20))


def _endless(_: Path) -> None:
    while True:
        pass


def _two_lines(_: Path) -> None:
    os.write(2, b"jostle: one\njostle: two\n")
    raise SystemExit(2)


def _fails(_: Path) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("read", "said"),
    [(_hog, " MB"), (_endless, "signal"), (_two_lines, "not one line"), (_fails, "Traceback: MemoryError")],
)
def test_what_is_wrong_is_found(tmp_path: Path, read: Callable[[Path], None], said: str) -> None:
    assert said in (fault(read, tmp_path) or "")


@pytest.mark.parametrize(
    "piece", [b"{}," * 9_000_000, b"{}," * 1_390_000, b'{"a":{}},' * 460_000, b"[]," * 1_390_000]
)
def test_a_document_that_is_too_large_is_not_parsed(tmp_path: Path, piece: bytes) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(b'{"causes": [' + piece + b"{}]}")
    assert fault(jostle("report", "FILE"), path) is None
