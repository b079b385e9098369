"""What `make install` puts in place, made again when anything it is made of has changed."""

from collections.abc import Iterator
from pathlib import Path

from tests.vm import cache

_SOURCES = (
    "agent",
    "collectors",
    "probes",
    "reports",
    "docs",
    "packaging",
    "systemd",
    "pyproject.toml",
    "README.md",
)


def installed() -> Path:
    """The tree below DESTDIR.

    Raises:
        VmError: The installation failed.
    """
    files = [path for source in _SOURCES for path in _files(cache.CHECKOUT / source)]
    contents = [(str(path), path.read_bytes()) for path in files]
    log = cache.CACHE / "install.log"
    return cache.made(
        "installed",
        contents,
        lambda place: cache.run(["make", "install", f"DESTDIR={place}"], log, cwd=cache.CHECKOUT),
    )


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
