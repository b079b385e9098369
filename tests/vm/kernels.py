"""The one table of the kernels that jostle is tested on, and of what their guests are made of."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Debian kernel.

    Attributes:
        series: As in `6.1`.
        suite: The Debian suite whose newest kernel is of that series.
        flavour: Of Debian's packages; `cloud` is the smallest.
        arch: Debian's name of the architecture.
    """

    series: str
    suite: str
    flavour: str = "cloud"
    arch: str = "amd64"

    @property
    def package(self) -> str:
        """The package that depends on the newest image."""
        return f"linux-image-{self.flavour}-{self.arch}"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a kernel is tested on.

    Attributes:
        cpus: Those that run.
        cgroups: The only version of the hierarchies that are mounted there.
        two_sockets: It has two sockets, each a NUMA node of its own, and two threads a core.
        possible: So many CPUs are possible, and half of them present; 0 for those that run.
        own_tests: Files of tests that are of this machine alone, of the marker `machine`.
        unit: Its own tests are all it runs, under a real systemd, with jostle installed there.
    """

    kernel: Kernel
    cpus: int = 2
    cgroups: Literal["v1", "v2"] = "v2"
    two_sockets: bool = False
    possible: int = 0
    own_tests: tuple[str, ...] = ()
    unit: bool = False

    @property
    def name(self) -> str:
        """As asked for and as printed: the kernel's series, with what is unusual about the machine."""
        unusual = (
            "v1" if self.cgroups == "v1" else "",
            f"smp{self.cpus}" if self.two_sockets else "",
            str(self.possible or ""),
        )
        return "-".join((self.kernel.series, *filter(None, unusual)))


MACHINES = (
    Machine(Kernel("5.10", "bullseye")),
    Machine(Kernel("6.1", "bookworm")),
    Machine(Kernel("6.1", "bookworm"), cgroups="v1"),
    # QEMU 7.2 boots it with two CPUs 15 times of 39, with one always; so this one is also the host with one CPU.
    Machine(Kernel("6.12", "trixie"), cpus=1),
    Machine(Kernel("7.3", "trixie-backports")),
    Machine(Kernel("6.1", "bookworm"), cpus=8, two_sockets=True, own_tests=("tests/vm/test_two_sockets.py",)),
    Machine(Kernel("6.1", "bookworm"), possible=256, own_tests=("tests/vm/test_unit_memory.py",), unit=True),
)
# Attributing the instructions of two CPUs that take turns on one emulating thread goes wrong: the guest has one CPU.
ARM64 = Kernel("6.1", "bookworm", arch="arm64")

# The root that all guests share; what `.venv` needs comes from the checkout.
ROOT_SUITE = "bookworm"
ROOT_PACKAGES = (
    "dbus",
    "iproute2",
    "kmod",
    "libbpf1",
    "procps",
    "python3",
    "python3-bpfcc",
    # A .venv made where Debian's is installed does without one of its own, and matplotlib needs it.
    "python3-pyparsing",
    "stress-ng",
    "systemd",
    "systemd-sysv",
    "udev",
    "util-linux",
)
# What a guest with containers has besides.
CONTAINER_PACKAGES = (*ROOT_PACKAGES, "busybox-static", "crun", "docker.io", "podman", "runc")
CONTAINER_MACHINE = Machine(Kernel("6.1", "bookworm"))
# Unpacked only, since nothing of another architecture can be run to set it up; and no `.venv` fits it.
ARM64_PACKAGES = (
    "busybox-static",
    "coreutils",
    "dash",
    "kmod",
    "libbpf1",
    "mount",
    "python3",
    "python3-bpfcc",
    "python3-hypothesis",
    "python3-pytest",
)


def chosen(names: list[str]) -> list[Machine]:
    """The machines of these names, all for none.

    Raises:
        ValueError: No such name in the table.
    """
    known = {machine.name: machine for machine in MACHINES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no kernel {unknown[0]} in the table; known: {', '.join(known)}")
    return [known[name] for name in names] or list(MACHINES)
