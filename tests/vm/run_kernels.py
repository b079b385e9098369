"""`make test-kernels`: the known-answer tests on every kernel of the table, or on those named as arguments.

Each kernel's directory below `.cache/vm/runs` then holds `console.log`, `results.xml` and `doctor.json`.
"""

import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.vm import debian, image, qemu
from tests.vm.errors import VmError
from tests.vm.kernels import Machine, chosen

# Only the files that bear the marker, as collecting all those of both directories takes a guest half a minute; in
# reverse order, so that what the verdicts rest on is told before them.
# A known-answer test needs 3 s or so of the guest's time, the verdicts a minute each: 4 minutes in all, on a quiet
# machine; 12 on one that emulates at half the speed.
LIMIT_S = 2400
_BUSYBOX = Path("/usr/bin/busybox")  # of busybox-static
_COMMAND = """
export JOSTLE_REQUIRE_KERNEL=1 JOSTLE_TEST_SLOWNESS=15
.venv/bin/python -m pytest -p no:cacheprovider --color=no -v --durations=5 -m known_answer \
    --junitxml={run}/results.xml $(grep -rl --include='test_*.py' known_answer tests/kernel tests/cli | sort -r)
code=$?
.venv/bin/jostle doctor --json >{run}/doctor.json || [ $code != 0 ] || code=$?
exit $code
"""


def test_kernel(machine: Machine) -> str:
    """Boot it, run the tests; what to print of it.

    Raises:
        VmError: A test failed, or the guest never came to its end.
    """
    guest = guest_of(machine)
    begun = time.monotonic()
    directory = qemu.run(guest, _COMMAND.format(run=qemu.directory_of(guest)), limit_s=LIMIT_S)
    release = guest.kernel.with_name("release").read_text()
    return f"{summary(directory / 'results.xml')} on {release}, {time.monotonic() - begun:.0f} s"


def guest_of(machine: Machine) -> qemu.Guest:
    """What it boots, fetched and built where that is missing.

    Raises:
        VmError: Something could not be fetched or built.
    """
    return qemu.Guest(
        name=f"kernel-{machine.name}",
        machine=qemu.x86_64(machine.cpus),
        console="ttyS0",
        kernel=debian.kernel(machine.kernel) / "vmlinuz",
        initrd=image.initrd(machine.kernel, _BUSYBOX),
        image=image.root_image(),
        cgroups=machine.cgroups,
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


def main(names: list[str]) -> int:
    """One line for each kernel; 1 when one of them failed, 2 for a name that is not in the table."""
    try:
        machines = chosen(names)
    except ValueError as error:
        print(f"test-kernels: {error}", file=sys.stderr)
        return 2
    failed = False
    for machine in machines:
        try:
            print(f"kernel {machine.name}: {test_kernel(machine)}", flush=True)
        except (VmError, OSError) as error:  # OSError: the disk is full, and says where
            failed = True
            print(f"kernel {machine.name}: FAILED: {error}", file=sys.stderr, flush=True)
            if isinstance(error, VmError):
                print(error.last_lines(), file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
