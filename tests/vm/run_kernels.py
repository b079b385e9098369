"""`make test-kernels`: the known-answer tests on every machine of the table, or on those named as arguments.

    python -m tests.vm.run_kernels [--figures-only] [KERNEL ...]

With --figures-only without the verdicts, which take as long as all that they rest on. Some machines have tests of their
own beside them, or instead. Each one's directory below `.cache/vm/runs` then holds `console.log`, `results.xml` and,
where the known answers ran, `doctor.json`.
"""

import argparse
import math
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from tests.vm import debian, image, qemu
from tests.vm.errors import VmError
from tests.vm.installed import installed
from tests.vm.kernels import Machine, chosen

# Only the files that bear the marker, as collecting all those of both directories takes a guest half a minute; in
# reverse order, so that what the verdicts rest on is told before them.
# The figures take 4 minutes with the boot, on a quiet machine, the verdicts 3 more; twice that on one that emulates at
# half the speed.
LIMIT_S, LIMIT_OF_FIGURES_S = 2400, 1200
# The longest of the figures says nothing for a minute on such a machine, an experiment for many.
SILENT_S = 240
_FIGURES, _VERDICTS = "tests/kernel", "tests/cli"
_BUSYBOX = Path("/usr/bin/busybox")  # of busybox-static
_COMMAND = """
export JOSTLE_REQUIRE_KERNEL=1 JOSTLE_TEST_SLOWNESS=15
.venv/bin/python -m pytest -p no:cacheprovider --color=no -v --durations=5 -m '{marks}' -o junit_family=xunit1 \
    --junitxml={run}/results.xml {own} $(grep -rl --include='test_*.py' known_answer {where} | sort -r)
code=$?
.venv/bin/jostle doctor --json >{run}/doctor.json || [ $code != 0 ] || code=$?
exit $code
"""
# The checkout is read-only there.
_UNIT_COMMAND = """
export JOSTLE_REQUIRE_KERNEL=1 JOSTLE_TEST_SLOWNESS=15 HYPOTHESIS_STORAGE_DIRECTORY=/run/hypothesis
.venv/bin/python -m pytest -p no:cacheprovider --color=no -v -m machine -o junit_family=xunit1 \
    --junitxml={run}/results.xml {own}
"""


def test_kernel(machine: Machine, *, figures_only: bool) -> str:
    """Boot it, run the tests; what to print of it.

    Raises:
        VmError: A test failed, or the guest never came to its end.
    """
    guest = guest_of(machine)
    begun = time.monotonic()
    where = _FIGURES if figures_only else f"{_FIGURES} {_VERDICTS}"
    command = (_UNIT_COMMAND if machine.unit else _COMMAND).format(
        run=qemu.directory_of(guest),
        where=where,
        own=" ".join(machine.own_tests),
        marks="known_answer or machine" if machine.own_tests else "known_answer",
    )
    limits = (LIMIT_OF_FIGURES_S, SILENT_S) if figures_only else (LIMIT_S, math.inf)
    directory = qemu.run(guest, command, limit_s=limits[0], silent_s=limits[1])
    release = guest.kernel.with_name("release").read_text()
    results, took_s = directory / "results.xml", time.monotonic() - begun
    return "; ".join((f"{summary(results)} on {release}, {took_s:.0f} s", *recorded(results)))


def guest_of(machine: Machine, name: str = "", disk: Callable[[], Path] = image.root_image) -> qemu.Guest:
    """What it boots, from that disk, fetched and built where that is missing.

    Raises:
        VmError: Something could not be fetched or built.
    """
    if machine.unit:
        installed()  # guests see it below the checkout
    # Twice those that are present is what jostle makes room for, and the emulation has a thread for each of them.
    words = (f"possible_cpus={machine.possible}", f"maxcpus={machine.cpus}") if machine.possible else ()
    made = qemu.two_sockets if machine.two_sockets else qemu.x86_64
    return qemu.Guest(
        name=name or f"kernel-{machine.name}",
        machine=made(machine.possible // 2 or machine.cpus),
        console="ttyS0",
        kernel=debian.kernel(machine.kernel) / "vmlinuz",
        initrd=image.initrd(machine.kernel, _BUSYBOX),
        image=disk(),
        cgroups=machine.cgroups,
        words=words,
        systemd=machine.unit,
    )


def summary(results: Path) -> str:
    """How many tests passed and were skipped, of pytest's own report; a run of none is none that passed.

    Raises:
        VmError: No test ran, or one failed.
    """
    suite = ET.parse(results).getroot().find("testsuite")  # noqa: S314  our own file
    assert suite is not None
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    if failed or tests == skipped:
        raise VmError(f"{failed} of {tests} tests failed, {skipped} were skipped", results)
    return f"{tests - skipped} passed" + (f", {skipped} skipped" if skipped else "")


def recorded(results: Path) -> list[str]:
    """What tests measured, as they recorded it in pytest's report, in their order."""
    properties = ET.parse(results).getroot().iter("property")  # noqa: S314  our own file
    return [f"{each.attrib['name']}: {each.attrib['value']}" for each in properties]


def main(words: list[str]) -> int:
    """One line for each kernel; 1 when one of them failed, 2 for a name that is not in the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--figures-only", action="store_true")
    parser.add_argument("kernels", nargs="*")
    options = parser.parse_args(words)
    try:
        machines = chosen(options.kernels)
    except ValueError as error:
        print(f"test-kernels: {error}", file=sys.stderr)
        return 2
    failed = False
    for machine in machines:
        try:
            print(
                f"kernel {machine.name}: {test_kernel(machine, figures_only=options.figures_only)}",
                flush=True,
            )
        except (VmError, OSError) as error:  # OSError: the disk is full, and says where
            failed = True
            print(f"kernel {machine.name}: FAILED: {error}", file=sys.stderr, flush=True)
            if isinstance(error, VmError):
                print(error.last_lines(), file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
