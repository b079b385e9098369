"""What is made once and kept below `.cache/vm`: made again when its recipe changes, never left half-made."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.vm import tied
from tests.vm.errors import VmError

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache/vm"
_FREE_BYTES = 3 << 30  # the root takes 0.6 GB, its image as much, and a kernel with its initrd 0.2


def made(name: str, recipe: object, make: Callable[[Path], None]) -> Path:
    """The directory of that name, made by `make` unless it was made by the same recipe before.

    Raises:
        VmError: There is no room, or `make` failed; what was there before is gone.
    """
    place, stamp = CACHE / name, CACHE / f"{name}.recipe"
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()
    if place.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return place
    stamp.unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    require_room(CACHE)
    place.mkdir(parents=True)
    try:
        make(place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    stamp.write_text(digest)
    return place


def require_room(directory: Path, free_bytes: int = _FREE_BYTES) -> None:
    """Refuse before anything is fetched, not in the middle.

    Raises:
        VmError: Less than `free_bytes` are free there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < free_bytes:
        raise VmError(
            f"{directory} has {free >> 20} MB free, {free_bytes >> 20} MB are needed: make room there"
        )


def run(command: Sequence[str | Path], log: Path, *, cwd: Path | None = None, limit_s: float = 600) -> None:
    """Run a building command; its words go to the log, and a failure names it.

    Raises:
        VmError: It failed or took too long.
    """
    if shutil.which(command[0]) is None:
        raise VmError(f"{command[0]} is not installed: run packaging/setup.sh vm")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as out:
            subprocess.run(
                [*tied.TREE, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                timeout=limit_s,
                check=True,
            )
    except subprocess.CalledProcessError as error:
        raise VmError(f"{Path(command[0]).name} failed with code {error.returncode}", log) from error
    except subprocess.TimeoutExpired as error:
        raise VmError(f"{Path(command[0]).name} took over {limit_s:.0f} s", log) from error
