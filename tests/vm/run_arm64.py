"""`make test-arm64`: the counters' whole path on an emulated arm64, whose PMU counts instructions exactly.

x86-64 has no PMU under emulation. One CPU: with two, instructions were counted for the wrong one.
"""

import sys
from pathlib import Path

from tests.vm import debian, image, qemu
from tests.vm.errors import VmError
from tests.vm.kernels import ARM64
from tests.vm.run_kernels import summary

LIMIT_S = 900
SHIFT = 1
_COMMAND = f"""
export JOSTLE_REQUIRE_KERNEL=1 JOSTLE_TEST_SLOWNESS=15 JOSTLE_ICOUNT_SHIFT={SHIFT}
/usr/bin/python3 -m pytest -p no:cacheprovider --color=no -v -s -m 'not slow' --junitxml={{run}}/results.xml \
    tests/kernel/test_icount.py tests/probes/test_perf_event.py tests/probes/test_layout.py
"""


def main() -> int:
    """Boot it, run the tests, print one line; 1 when it failed."""
    try:
        unpacked, root = debian.kernel(ARM64), debian.arm64_root()
        guest = qemu.Guest(
            name="arm64",
            machine=qemu.arm64(SHIFT),
            console="ttyAMA0",
            kernel=unpacked / "vmlinuz",
            initrd=image.initrd(ARM64, root / "bin/busybox"),
            image=image.arm64_image(),
        )
        directory = qemu.run(guest, _COMMAND.format(run=qemu.directory_of(guest)), limit_s=LIMIT_S)
        release = Path(unpacked / "release").read_text()
        print(f"arm64, icount shift {SHIFT}: {summary(directory / 'results.xml')} on {release}")
    except (VmError, OSError) as error:  # OSError: the disk is full, and says where
        print(f"arm64: FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
