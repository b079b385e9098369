"""Which files of a cgroup need not be read again: nothing they count has happened, in it or anywhere around it.

What the host's pressure counts, and many files of a cgroup (`KernelFile.lag_ns`), is the sum over all that is below. So
while the sum stands still each part does, and the files of 300 pods are one file of their parent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from collectors.host.hierarchy import lineage
from collectors.host.readings import Missing
from collectors.sources.kernel_files import NO_STAMPS, FileFigures, KernelFile, Stamps

# An ancestor is worth reading for so many cgroups below it.
LEAST_BELOW = 8
# Beyond a file's own lag: two files are not read at the same moment.
_MARGIN_NS = 500_000_000


class Total(NamedTuple):
    """What one file said of a whole that a cgroup is part of."""

    spec: KernelFile
    figures: FileFigures


class StandStill:
    """Since when each total of one whole has stood still."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[FileFigures, int]] = {}

    def stamps(self, totals: Iterable[Total], now_ns: int) -> Stamps:
        """By the name of a file a stamp that stays while the parts' must say the same; none while they may change.

        A file lags behind what happens, the whole's and the part's each by its own, so the whole's must have stood
        still for longer than that before the part's can be relied on.
        """
        found: dict[str, object] = {}
        for spec, figures in totals:
            if spec.lag_ns is None or isinstance(figures[0], Missing):
                self._seen.pop(spec.name, None)
                continue
            known = self._seen.get(spec.name)
            if known is None or known[0] != figures:
                known = self._seen[spec.name] = figures, now_ns
            if now_ns - known[1] >= spec.lag_ns + _MARGIN_NS:
                found[spec.name] = figures
        return found


class Calm:
    """The stamps of cgroups, from the host's totals and those of ancestors that have many of them below."""

    def __init__(self, read: Callable[[str, Stamps], Sequence[Total]]) -> None:
        """`read` says what the files of a cgroup say now, with the stamps that hold for it."""
        self._read = read
        self._host = StandStill()
        self._ancestors: dict[str, StandStill] = {}
        self._stamps: dict[str, Stamps] = {}

    def begin(self, lineages: Iterable[Sequence[str]], host: Iterable[Total], now_ns: int) -> None:
        """A new pass over cgroups, each given as its path and its ancestors' up to the root."""
        counts = Counter(place for own in lineages for place in own[1:])
        below = {place for place, count in counts.items() if count >= LEAST_BELOW and place != "/"}
        self._ancestors = {place: self._ancestors.get(place) or StandStill() for place in below}
        self._stamps = {"/": self._host.stamps(host, now_ns)}
        for place in sorted(below, key=len):  # an ancestor's path is shorter
            around = self.of(lineage(place))
            own = self._ancestors[place].stamps(self._read(place, around), now_ns)
            # Its own first: they stay while the host stalls now and then, elsewhere.
            self._stamps[place] = {**around, **own}

    def of(self, own: Sequence[str]) -> Stamps:
        """The stamps of the files of a cgroup, given as its path and its ancestors'."""
        return next((self._stamps[place] for place in own[1:] if place in self._stamps), NO_STAMPS)
