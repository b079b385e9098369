"""The one table of the kernels that jostle is tested on, and of what their guests are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Debian kernel, and the guest that it is tested in.

    Attributes:
        name: Its series, as asked for and as printed.
        suite: The Debian suite whose newest kernel is of that series.
        flavour: Of Debian's packages; `cloud` is the smallest.
        arch: Debian's name of the architecture.
        cpus: How many the guest has.
    """

    name: str
    suite: str
    flavour: str = "cloud"
    arch: str = "amd64"
    cpus: int = 2

    @property
    def package(self) -> str:
        """The package that depends on the newest image."""
        return f"linux-image-{self.flavour}-{self.arch}"


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm"),
    # QEMU 7.2 boots it with two CPUs 15 times of 39, with one always; so this one is also the host with one CPU.
    Kernel("6.12", "trixie", cpus=1),
    Kernel("7.3", "trixie-backports"),
)
# Attributing the instructions of two CPUs that take turns on one emulating thread goes wrong: one CPU.
ARM64 = Kernel("6.1", "bookworm", arch="arm64", cpus=1)

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


def chosen(names: list[str]) -> list[Kernel]:
    """The kernels of these series, all for none.

    Raises:
        ValueError: No such series in the table.
    """
    known = {kernel.name: kernel for kernel in KERNELS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no kernel {unknown[0]} in the table; known: {', '.join(known)}")
    return [known[name] for name in names] or list(KERNELS)
