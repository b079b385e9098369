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
    """What a kernel is tested on; `cgroups` is the only version of the hierarchies that are mounted there."""

    kernel: Kernel
    cpus: int = 2
    cgroups: Literal["v1", "v2"] = "v2"

    @property
    def name(self) -> str:
        """As asked for and as printed: the kernel's series, with what is unusual about the machine."""
        return self.kernel.series if self.cgroups == "v2" else f"{self.kernel.series}-{self.cgroups}"


MACHINES = (
    Machine(Kernel("5.10", "bullseye")),
    Machine(Kernel("6.1", "bookworm")),
    Machine(Kernel("6.1", "bookworm"), cgroups="v1"),
    # QEMU 7.2 boots it with two CPUs 15 times of 39, with one always; so this one is also the host with one CPU.
    Machine(Kernel("6.12", "trixie"), cpus=1),
    Machine(Kernel("7.3", "trixie-backports")),
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
