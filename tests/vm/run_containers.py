"""`make test-containers-v2`: Docker, containerd and Podman on a host with cgroup v2 alone, emulated.

What this machine cannot show: its CPU controller is of v1, and crun refuses a host that has both.
"""

import sys

from tests.vm import image, qemu
from tests.vm.errors import VmError
from tests.vm.kernels import CONTAINER_MACHINE
from tests.vm.run_kernels import guest_of, summary

LIMIT_S = 3000
_COMMAND = """
export JOSTLE_REQUIRE_KERNEL=1 JOSTLE_TEST_SLOWNESS=15
.venv/bin/python -m pytest -p no:cacheprovider --color=no -v --durations=5 -m slow \
    --junitxml={run}/results.xml tests/containers/test_podman.py tests/containers/test_docker.py
"""


def main() -> int:
    """Boot it, run the tests, print one line; 1 when it failed."""
    try:
        guest = guest_of(CONTAINER_MACHINE, "containers", image.container_image)
        directory = qemu.run(guest, _COMMAND.format(run=qemu.directory_of(guest)), limit_s=LIMIT_S)
        release = guest.kernel.with_name("release").read_text()
        print(f"containers, cgroup v2: {summary(directory / 'results.xml')} on {release}")
    except (VmError, OSError) as error:  # OSError: the disk is full, and says where
        print(f"containers, cgroup v2: FAILED: {error}", file=sys.stderr)
        if isinstance(error, VmError):
            print(error.last_lines(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
