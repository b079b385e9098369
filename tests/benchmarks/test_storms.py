import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.storms import Pass, parse_pass
from probes.errors import JostleError
from tests.benchmarks.recorded import recorded


@pytest.mark.parametrize(
    ("name", "wall_s"), [("perf-bench-pipe.txt", 0.108), ("perf-bench-messaging.txt", 0.039)]
)
def test_the_time_that_perf_bench_prints(name: str, wall_s: float) -> None:
    assert parse_pass(recorded(name), children_cpu_s=0.5) == Pass(wall_s=wall_s, cpu_s=0.5)


def test_a_cpu_time_that_is_printed_comes_first() -> None:
    text = "Total time: 1.500000 [sec]\nCPU time: 1.250000 [sec]\n"
    assert parse_pass(text, children_cpu_s=9.0) == Pass(wall_s=1.5, cpu_s=1.25)


def test_no_time_is_an_error_that_shows_what_was_printed() -> None:
    with pytest.raises(JostleError, match="Usage: perf bench"):
        parse_pass("Usage: perf bench sched pipe", children_cpu_s=0.0)


def crowd(loops: int, *bases: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.crowd", str(loops), *map(str, bases)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_crowd_enters_every_hierarchy_and_prints_its_times(tmp_path: Path) -> None:
    names = [tmp_path / base / f"pair-{number}" for base in ("v1", "v2") for number in range(3)]
    for directory in names:
        directory.mkdir(parents=True)
    result = crowd(50, tmp_path / "v1", tmp_path / "v2")
    done = parse_pass(result.stdout, children_cpu_s=-1.0)
    assert done.wall_s > 0
    assert done.cpu_s > 0
    assert all((directory / "cgroup.procs").read_text() == "0" for directory in names)


def test_a_crowd_without_cgroups_is_an_error(tmp_path: Path) -> None:
    result = crowd(1, tmp_path)
    assert result.returncode == 1
    assert "no cgroup pair-*" in result.stderr
