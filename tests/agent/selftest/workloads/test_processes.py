import argparse
import os
import signal
import subprocess
import sys

import pytest

from agent.selftest.workloads.arguments import between


def python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


SPAWN = "import os; from agent.selftest.workloads.processes import spawn; "


@pytest.mark.parametrize(
    ("work", "status"),
    [("lambda: None", 0), ("lambda: 1 / 0", 1), ("lambda: os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_a_child_reports_how_its_work_ended(work: str, status: int) -> None:
    done = python(SPAWN + f"spawn({work}); print(os.waitstatus_to_exitcode(os.wait()[1]))")
    assert done.stdout == f"{status}\n"
    assert ("ZeroDivisionError" in done.stderr) == (status == 1)


def test_a_child_never_returns_into_its_parents_code() -> None:
    done = python(SPAWN + "spawn(lambda: 1 / 0); os.wait(); print('once', flush=True)")
    assert done.stdout == "once\n"


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    done = python(
        "from agent.selftest.workloads import processes; import os; "
        "processes._die_with(os.getppid()); processes._die_with(1 << 30); print('still here')"
    )
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("module", ["victim", "neighbour"])
def test_a_workload_imports_nothing_but_the_standard_library(module: str) -> None:
    workload = f"agent.selftest.workloads.{module}"
    code = f"import sys; old = set(sys.modules); import {workload}; print(*set(sys.modules) - old)"
    names = {name.partition(".")[0] for name in python(code).stdout.split()}
    assert "argparse" in names
    assert names - {"agent"} <= sys.stdlib_module_names


@pytest.mark.parametrize("text", ["0", "11", "1.5", "nan", "", "many"])
def test_numbers_out_of_range_are_refused(text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        between(1, 10)(text)


@pytest.mark.parametrize("text", ["-0.1", "nan", "inf"])
def test_fractions_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"from 0\.0 to 100\.0"):
        between(0.0, 100.0)(text)


def test_numbers_keep_their_kind() -> None:
    assert (between(1, 10)("10"), between(0.0, 1.0)("0.5")) == (10, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [["victim", "--operations", "0"], ["neighbour", "twiddle"], ["neighbour", "spin", "--duty-pct", "101"]],
)
def test_bad_usage_exits_2(arguments: list[str]) -> None:
    workload, *options = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"agent.selftest.workloads.{workload}", *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert done.returncode == 2
    assert "usage: python -m agent.selftest.workloads." in done.stderr
