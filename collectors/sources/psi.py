"""Pressure stall information: how long tasks were stalled for want of CPU, memory or I/O.

Source: Documentation/accounting/psi.rst. `some`: at least one task stalled; `full`: all of them at once.
Files: /proc/pressure/* for the host, *.pressure in each cgroup of the v2 hierarchy. The kernel counts in µs.
"""

import re
from dataclasses import replace
from pathlib import Path

from collectors.host.readings import Missing, parse_count
from collectors.sources.cgroup_formats import FileFormat, kernel_files
from collectors.sources.kernel_files import Figure, FileFigures, FileReader, Parse

REMEDY = "boot with psi=1 on a kernel built with CONFIG_PSI"
RESOURCES = ("cpu", "memory", "io")
# The kernel brings totals up to date when they are read, but at most every 2 s (PSI_FREQ, kernel/sched/psi.c).
_LAG_NS = 2_000_000_000


# some avg10=0.00 avg60=0.00 avg300=0.00 total=0
_TOTALS = re.compile(r"some(?: [^\n]*)? total=([0-9]+)\n(?:full(?: [^\n]*)? total=([0-9]+)\n)?")


def parse_pressure(text: str, path: str) -> FileFigures:
    """The totals of `some` and `full`, in ns. Before 5.13 there was no `full` for the CPU."""
    found = _TOTALS.match(text)
    return _total_ns(found and found[1], "some", path), _total_ns(found and found[2], "full", path)


def _total_ns(digits: str | None, kind: str, path: str) -> int | Missing:
    value = parse_count(digits or "")
    return Missing(f"{path} has no valid total of {kind}") if value is None else value * 1000


def _pressure(*_some_and_full: str) -> Parse:
    return parse_pressure


FILES = tuple(
    kernel_files(
        [FileFormat((f"{resource}.pressure",), _pressure, _LAG_NS) for resource in RESOURCES], v1=False
    )
)
"""Of each cgroup of the v2 hierarchy."""


def host_pressure(root: Path = Path("/")) -> dict[str, Figure]:
    """The stalled time since boot of the whole host, by name as in a cgroup (`io_some_ns`)."""
    folder = str(root / "proc/pressure")
    found: dict[str, Figure] = {}
    for spec in FILES:
        file = FileReader(replace(spec, names=(spec.name.removesuffix(".pressure"),)), folder)
        found.update(zip(spec.figures, file.read(), strict=True))
    return found
