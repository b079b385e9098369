"""What a guest boots from: an initrd with the few modules it needs, and the root as an ext4 image."""

import lzma
import shutil
from pathlib import Path

from tests.vm import cache, debian
from tests.vm.errors import VmError
from tests.vm.kernels import CONTAINER_PACKAGES, ROOT_PACKAGES, Kernel

GUEST = Path(__file__).parent / "guest"
_LOG = cache.CACHE / "build.log"
# Those that a kernel has built in are not there, and not missed.
_WANTED_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "virtiofs",
    "veth",
    "sch_tbf",
    "overlay",
)


def root_image() -> Path:
    """The root as a disk image; guests get it as a snapshot, so it stays as it is."""
    root = debian.root()
    place = cache.made("image", ROOT_PACKAGES, lambda place: _make_image(root, place / "root.img"))
    return place / "root.img"


def container_image() -> Path:
    """The same with what runs containers, and room for some."""
    root = debian.container_root()
    place = cache.made(
        "image-containers", CONTAINER_PACKAGES, lambda place: _make_image(root, place / "root.img", "2400M")
    )
    return place / "root.img"


def arm64_image() -> Path:
    """The same for the other architecture."""
    root = debian.arm64_root()
    place = cache.made(
        "image-arm64", root.stat().st_mtime_ns, lambda place: _make_image(root, place / "root.img")
    )
    return place / "root.img"


def initrd(kernel: Kernel, busybox: Path) -> Path:
    """Of that kernel, around that static busybox."""
    unpacked = debian.kernel(kernel)
    release, init = ((unpacked / "release").read_text(), (GUEST / "init").read_text())
    recipe = (kernel, release, init, str(busybox), _WANTED_MODULES)
    place = cache.made(
        f"initrd-{kernel.series}-{kernel.arch}", recipe, lambda place: _make_initrd(unpacked, busybox, place)
    )
    return place / "initrd.img"


def _make_image(root: Path, image: Path, size: str = "1200M") -> None:
    cache.run(
        ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", "-d", root, image, size],
        _LOG,
    )


def _make_initrd(unpacked: Path, busybox: Path, place: Path) -> None:
    tree = place / "tree"
    for directory in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / directory).mkdir(parents=True)
    shutil.copy(busybox, tree / "bin/busybox")
    shutil.copy(GUEST / "init", tree / "init")
    (tree / "init").chmod(0o755)
    modules = unpacked / "modules/lib/modules" / (unpacked / "release").read_text()
    names = []
    for module in load_order((modules / "modules.dep").read_text(), _WANTED_MODULES):
        name = Path(module).name.removesuffix(".xz")
        (tree / "modules" / name).write_bytes(_unpacked_module(modules / module))
        names.append(name)
    (tree / "modules.order").write_text("\n".join(names))
    cache.run(
        ["sh", "-c", "cd tree && find . | cpio -o -H newc --quiet >../initrd.img && rm -rf ../tree"],
        _LOG,
        cwd=place,
    )


def _unpacked_module(path: Path) -> bytes:
    if path.suffix not in {".ko", ".xz"}:
        raise VmError(f"{path.name} is packed in a way that is not known")
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def load_order(modules_dep: str, wanted: tuple[str, ...]) -> list[str]:
    """Paths of the modules to load, what each needs before it (modules.dep names the nearest first)."""
    needs = {
        path: rest.split() for path, _, rest in (line.partition(":") for line in modules_dep.splitlines())
    }
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []
    for path in (by_name[name] for name in wanted if name in by_name):
        order += [each for each in (*reversed(needs[path]), path) if each not in order]
    return order
