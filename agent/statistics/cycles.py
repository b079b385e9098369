"""The natural experiment: windows in which a tenant was busy beside windows in which it was not.

The series is cut into cycles: one stretch of busy windows each, with the quiet windows nearer to it than to any
other. A cycle gives one pair, so drift over cycles cancels as it does in an experiment's blocks, and windows that
follow each other, which are not independent witnesses, count as one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby

import numpy as np

from agent.statistics.effect import TrialPair

# Windows are alike in load when they fall between the same two powers of this.
LOAD_STEP = 1.5
# A ratio of nanoseconds: no step that matters.
COUNTED_NS = 0.0


class Activity(Enum):
    """What the tenant did in a window."""

    QUIET = auto()
    BETWEEN = auto()
    BUSY = auto()


@dataclass(frozen=True, slots=True)
class Observed:
    """One window: what the tenant did, the victim's load and its figure, both above 0 (lower is better)."""

    kind: Activity
    load: float
    value: float


@dataclass(frozen=True, slots=True)
class Cycle:
    """The indices of the windows of one cycle that have a counterpart of the same load, and the pair they give."""

    quiet: tuple[int, ...]
    busy: tuple[int, ...]
    pair: TrialPair


def cycles(windows: Sequence[Observed]) -> list[Cycle]:
    """All cycles that hold windows of both kinds at the same load, in the order of time."""
    found = (_cycle(windows, part) for part in cut(windows))
    return [cycle for cycle in found if cycle is not None]


def cut(windows: Sequence[Observed]) -> list[list[int]]:
    """The indices of each cycle: a stretch of busy windows, and the quiet ones nearer to it than to another."""
    stretches = list(_busy_stretches(windows))
    if not stretches:
        return []
    members = [list(stretch) for stretch in stretches]
    for index, window in enumerate(windows):
        if window.kind is Activity.QUIET:
            nearest = min(range(len(stretches)), key=lambda n: _distance(index, stretches[n]))
            members[nearest].append(index)
    return members


def merged(found: Sequence[Cycle]) -> list[TrialPair]:
    """The cycles' pairs, averaged two by two for as long as successive ones resemble each other.

    What lasts longer than a cycle would make few independent witnesses look like many. The limit is two standard
    errors of a lag-1 autocorrelation where there is none (Bartlett, J. R. Statist. Soc. Suppl. 8:27, 1946).
    """
    pairs = [cycle.pair for cycle in found]
    while len(pairs) > 3 and lag_1(pairs) > 2 / math.sqrt(len(pairs)):
        pairs = [_mean(pairs[n : n + 2]) for n in range(0, len(pairs), 2)]
    return pairs


def lag_1(pairs: Sequence[TrialPair]) -> float:
    """The lag-1 autocorrelation of the pairs' log ratios; 0 where they are all equal."""
    ratios = np.log([pair.with_ / pair.without for pair in pairs])
    centred = ratios - ratios.mean()
    whole = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / whole if whole > 0 else 0.0


def _busy_stretches(windows: Sequence[Observed]) -> Iterator[list[int]]:
    """Busy windows with no quiet one among them."""
    decided = [
        (index, window.kind) for index, window in enumerate(windows) if window.kind is not Activity.BETWEEN
    ]
    for kind, group in groupby(decided, key=lambda each: each[1]):
        if kind is Activity.BUSY:
            yield [index for index, _ in group]


def _distance(index: int, stretch: Sequence[int]) -> int:
    return max(stretch[0] - index, index - stretch[-1])


def _cycle(windows: Sequence[Observed], members: Sequence[int]) -> Cycle | None:
    """Its pair: geometric means over the loads at which there are both kinds, by the number of busy windows."""
    strata: dict[int, dict[Activity, list[int]]] = {}
    for index in members:
        window = windows[index]
        stratum = math.floor(math.log(window.load) / math.log(LOAD_STEP))
        strata.setdefault(stratum, {}).setdefault(window.kind, []).append(index)
    matched = [kinds for kinds in strata.values() if len(kinds) > 1]
    if not matched:
        return None

    def mean(kind: Activity) -> float:
        means = [_log_mean([windows[index].value for index in kinds[kind]]) for kinds in matched]
        return math.exp(float(np.average(means, weights=[len(kinds[Activity.BUSY]) for kinds in matched])))

    quiet, busy = (
        tuple(sorted(index for kinds in matched for index in kinds[kind]))
        for kind in (Activity.QUIET, Activity.BUSY)
    )
    return Cycle(quiet, busy, TrialPair(mean(Activity.QUIET), mean(Activity.BUSY), COUNTED_NS))


def _mean(pairs: Sequence[TrialPair]) -> TrialPair:
    without, with_ = (
        _log_mean(values) for values in zip(*((p.without, p.with_) for p in pairs), strict=True)
    )
    return TrialPair(math.exp(without), math.exp(with_), COUNTED_NS)


def _log_mean(values: Sequence[float]) -> float:
    return float(np.mean(np.log(values)))
