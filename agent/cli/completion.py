"""What the shell offers for a cgroup or a recording: names that the resolver takes, and files that can be read."""

from collections.abc import Iterator
from pathlib import Path

from probes.errors import JostleError

_RECORDINGS = (".run", ".partial", ".json", ".db")


def cgroups(incomplete: str) -> list[str]:
    """The cgroups of this host that begin so: by path where a `/` is typed, else by what they are called."""
    from collectors.host.hierarchy import detect_layout
    from collectors.host.live import live

    try:
        among = live(detect_layout())
        names = among.paths if incomplete.startswith("/") else among.spellings.keys() | among.origins.keys()
    except (JostleError, OSError):  # a shell that completes is no place for a message
        return []
    return sorted(name for name in names if name.startswith(incomplete) and name.isprintable())


def recordings(incomplete: str) -> list[str]:
    """Files that may be recordings or documents, and directories, which end in `/`."""
    typed, _, _ = incomplete.rpartition("/")
    place = Path(f"{typed}/" if "/" in incomplete else ".")
    prefix = f"{typed}/" if "/" in incomplete else ""
    return sorted(each for each in _entries(place, prefix) if each.startswith(incomplete))


def _entries(place: Path, prefix: str) -> Iterator[str]:
    try:
        entries = list(place.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            yield f"{prefix}{entry.name}/"
        elif entry.suffix in _RECORDINGS:
            yield f"{prefix}{entry.name}"
