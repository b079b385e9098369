"""Outputs recorded from the tools that Debian 12 ships, each run for about a second."""

from pathlib import Path

OUTPUTS = Path(__file__).parent / "outputs"
TOOL_OF_PREFIX = {"redis": "redis-benchmark", "wrk2": "wrk"}


def recorded(name: str) -> str:
    return (OUTPUTS / name).read_bytes().decode()


def recorded_names() -> list[str]:
    return sorted(path.name for path in OUTPUTS.glob("*-*.*") if ".stderr." not in path.name)


def tool_of(name: str) -> str:
    """The reader for a recorded output: `wrk-404.txt` is read by `wrk`."""
    prefix = name.partition("-")[0]
    return TOOL_OF_PREFIX.get(prefix, prefix)
