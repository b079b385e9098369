"""Which files of a cgroup need not be read again: nothing they count has happened, in it or anywhere around it.

What the host's pressure counts, and many files of a cgroup (`KernelFile.lag_ns`), is the sum over all that is below. So
while the sum stands still each part does, and the files of 300 pods are one file of their parent. The soak of ten
minutes took 0.47 % of a core at de2ea22, and without this and the skipped idle cgroups 0.57.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from collectors.host.hierarchy import lineage
from collectors.host.readings import Missing
from collectors.sources.kernel_files import ChangeTokens, FileFigures, KernelFile

# An ancestor is worth reading for so many cgroups below it.
LEAST_BELOW = 8
# Beyond a file's own lag: two files are not read at the same moment.
_MARGIN_NS = 500_000_000
_NO_TOKENS: ChangeTokens = {}


class Total(NamedTuple):
    """What one file said of a whole that a cgroup is part of."""

    spec: KernelFile
    figures: FileFigures


class Whole:
    """Since when each total of one whole has stood still."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[FileFigures, int]] = {}

    def tokens(self, totals: Iterable[Total], now_ns: int) -> ChangeTokens:
        """Change tokens for the files of its parts; none for one that may change.

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


class Unchanged:
    """Change tokens of cgroups' files, from the totals of the host and of ancestors that have many of them below."""

    def __init__(self, read: Callable[[str, ChangeTokens], Iterable[Total]]) -> None:
        """`read` says what the files of a cgroup say now, with the change tokens that hold for it."""
        self._read = read
        self._wholes: dict[str, Whole] = {}
        self._tokens: dict[str, ChangeTokens] = {}

    def begin(self, lineages: Iterable[Sequence[str]], host: Iterable[Total], now_ns: int) -> None:
        """A new pass over cgroups, each given as its path and its ancestors' up to the root."""
        counts = Counter(place for own in lineages for place in own[1:])
        below = {place for place, count in counts.items() if count >= LEAST_BELOW and place != "/"}
        self._wholes = {place: self._wholes.get(place) or Whole() for place in ("/", *below)}
        self._tokens = {"/": self._wholes["/"].tokens(host, now_ns)}
        for place in sorted(below, key=len):  # an ancestor's path is shorter
            around = self.tokens(lineage(place))
            own = self._wholes[place].tokens(self._read(place, around), now_ns)
            # Its own first: they stay while the host stalls now and then, elsewhere.
            self._tokens[place] = {**around, **own}

    def tokens(self, own: Sequence[str]) -> ChangeTokens:
        """The change tokens of a cgroup's files, given as its path and its ancestors'."""
        return next((self._tokens[place] for place in own[1:] if place in self._tokens), _NO_TOKENS)
