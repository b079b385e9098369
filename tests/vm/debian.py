"""Debian's kernels and a Debian root, fetched by name through an apt of our own: the machine's apt stays as it is."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.vm import cache
from tests.vm.errors import VmError
from tests.vm.kernels import ARM64_PACKAGES, CONTAINER_PACKAGES, ROOT_PACKAGES, ROOT_SUITE, Kernel

_MIRROR = "http://deb.debian.org/debian"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LOG = cache.CACHE / "build.log"


def root() -> Path:
    """A whole Debian with systemd, set up."""
    return cache.made(
        "root", (ROOT_SUITE, ROOT_PACKAGES), lambda place: _bootstrap(place, "minbase", ROOT_PACKAGES)
    )


def container_root() -> Path:
    """The same with Docker, containerd and Podman."""
    return cache.made(
        "root-containers",
        (ROOT_SUITE, CONTAINER_PACKAGES),
        lambda place: _bootstrap(place, "minbase", CONTAINER_PACKAGES),
    )


def arm64_root() -> Path:
    """A Debian of another architecture, unpacked only, with its Python compiled ahead (bytecode fits all)."""

    def make(place: Path) -> None:
        _bootstrap(place, "extract", ARM64_PACKAGES, "--architectures=arm64")
        for name in ("proc", "root", "run", "sys"):  # of base-files, which is not asked for
            (place / name).mkdir(exist_ok=True)
        python = place / "usr/lib"
        cache.run(
            ["/usr/bin/python3", "-m", "compileall", "-q", python / "python3", python / "python3.11"], _LOG
        )

    return cache.made("root-arm64", (ROOT_SUITE, ARM64_PACKAGES), make)


def kernel(wanted: Kernel) -> Path:
    """An unpacked kernel: `vmlinuz`, `release`, and `modules/` with their dependencies worked out."""
    name = f"kernel-{wanted.series}-{wanted.arch}"
    return cache.made(name, wanted, lambda place: _unpack_kernel(wanted, place))


def _bootstrap(place: Path, variant: str, packages: tuple[str, ...], *more: str) -> None:
    include = f"--include={','.join(packages)}"
    cache.run(
        ["mmdebstrap", f"--variant={variant}", include, *more, ROOT_SUITE, place, _MIRROR], _LOG, limit_s=900
    )


def _unpack_kernel(wanted: Kernel, place: Path) -> None:
    apt = _private_apt(wanted, place / "apt")
    cache.run(["apt-get", *apt, "update"], _LOG)
    packages = _packages_of_image(wanted, apt)
    cache.run(["apt-get", *apt, "download", *packages], _LOG, cwd=place)
    for archive in place.glob("*.deb"):
        cache.run(["dpkg-deb", "--extract", archive, place / "files"], _LOG)
        archive.unlink()
    release = packages[0].removeprefix("linux-image-")
    # In /boot, and in newer packages beside its modules.
    binary = next((place / "files").glob("**/vmlinuz*"), None)
    modules = next((place / "files").glob(f"**/lib/modules/{release}"), None)
    if binary is None or modules is None:
        raise VmError(f"{packages[0]} brought no kernel", _LOG)
    binary.rename(place / "vmlinuz")
    (place / "modules/lib").mkdir(parents=True)
    modules.parent.rename(place / "modules/lib/modules")
    cache.run(["depmod", "-b", place / "modules", release], _LOG)
    shutil.rmtree(place / "files")
    shutil.rmtree(place / "apt")
    (place / "release").write_text(release)


def _private_apt(wanted: Kernel, state: Path) -> list[str]:
    for directory in ("lists/partial", "cache/archives/partial"):
        (state / directory).mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_MIRROR} {wanted.suite} main\n")
    options = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "APT::Architecture": wanted.arch,
        "APT::Architectures": wanted.arch,
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _packages_of_image(wanted: Kernel, apt: list[str]) -> list[str]:
    """The image's package, and those that newer kernels split it into."""
    image = next((name for name in _dependencies(apt, wanted.package) if _is_image(name)), None)
    if image is None:
        raise VmError(f"{wanted.suite} has no {wanted.package} any more: change tests/vm/kernels.py", _LOG)
    if not image.startswith(f"linux-image-{wanted.series}."):
        raise VmError(
            f"{wanted.suite} has {image} now, not {wanted.series}: change tests/vm/kernels.py", _LOG
        )
    version = image.removeprefix("linux-image-")
    parts = {f"linux-{part}-{version}" for part in ("base", "binary", "modules")}
    return [image, *sorted(parts.intersection(_dependencies(apt, image)))]


def _is_image(name: str) -> bool:
    return re.match(r"linux-image-\d", name) is not None


def _dependencies(apt: list[str], package: str) -> list[str]:
    answer = subprocess.run(
        ["apt-cache", *apt, "depends", package], capture_output=True, text=True, check=False
    )
    return re.findall(r"Depends: (\S+)", answer.stdout)
