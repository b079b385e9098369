"""Pressure stall information: how long tasks were stalled for want of CPU, memory or I/O.

Source: Documentation/accounting/psi.rst. `some`: at least one task stalled; `full`: all of them at once.
Files: /proc/pressure/* for the host, *.pressure in each cgroup of the v2 hierarchy. The kernel counts in µs.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from collectors.kernel_files import Figure, Figures, FilePool, KernelFile
from collectors.readings import Missing, parse_count

REMEDY = "boot with psi=1 on a kernel built with CONFIG_PSI"
RESOURCES = ("cpu", "memory", "io")
# The kernel brings totals up to date when they are read, but at most every 2 s (PSI_FREQ).
_SETTLED_NS = 2_500_000_000


def parse_pressure(text: str, path: str) -> Figures:
    """The totals of `some` and `full`, in ns. Before 5.13 there was no `full` for the CPU."""
    return _total_ns(text, "some", path), _total_ns(text, "full", path)


def _total_ns(text: str, kind: str, path: str) -> int | Missing:
    # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
    start = 0 if text.startswith(f"{kind} ") else text.find(f"\n{kind} ") + 1
    end = text.find("\n", start)
    line = text[start : max(end, start)]
    value = parse_count(line.rpartition(" total=")[2]) if line.startswith(f"{kind} ") else None
    return Missing(f"{path} has no valid total of {kind}") if value is None else value * 1000


FILES = tuple(
    KernelFile((f"{resource}.pressure",), (f"{resource}_some_ns", f"{resource}_full_ns"), parse_pressure)
    for resource in RESOURCES
)
"""Of each cgroup of the v2 hierarchy."""


def host_pressure(root: Path = Path("/")) -> dict[str, Figure]:
    """The stalled time since boot of the whole host, by name as in a cgroup (`io_some_ns`)."""
    pool, folder = FilePool(0), str(root / "proc/pressure")
    found: dict[str, Figure] = {}
    for spec in FILES:
        file = pool.file(replace(spec, names=(spec.names[0].removesuffix(".pressure"),)), folder)
        found.update(zip(spec.figures, file.read(), strict=True))
    return found


class Calm:
    """Knows when nothing on the host was stalled for a resource, so that no cgroup was either.

    A cgroup's file then need not be read, which takes the kernel 2 to 7 µs. Totals lag by up to 2 s, the host's and a
    cgroup's each by their own, so the host's must have stood still for longer before the cgroups' can be relied on.
    """

    def __init__(self) -> None:
        self._totals: dict[str, tuple[Figure, int]] = {}

    def stamps(self, pressure: Mapping[str, Figure], now_ns: int) -> dict[str, object]:
        """By the name of each figure a stamp that stays while the cgroups' figures must; None: they may change."""
        for name, total in pressure.items():
            if name not in self._totals or self._totals[name][0] != total:
                self._totals[name] = (total, now_ns)
        return {
            name: None if isinstance(total, Missing) or now_ns - since_ns < _SETTLED_NS else total
            for name, (total, since_ns) in self._totals.items()
        }
