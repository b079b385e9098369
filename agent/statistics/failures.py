"""Failures beside the neighbours against failures without them, by exact tests.

What fails in one arm alone must not drop out: a trial that is repeated until it works, or a server that answers fast
with errors, would otherwise pass for one that nothing happened to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

TRIALS = "trials that failed"
# All flips of sign are counted up to 2^16 of them; beyond, as many are drawn, with a fixed seed.
EXACT_FLIPS, FLIP_SEED = 16, 20240229
# Up to this, a surplus is too likely to be one for anything to be declared harmless.
DOUBT = 0.1


@dataclass(frozen=True, slots=True)
class Trials:
    """How the attempts of both arms went, and what the trials that count counted.

    Attributes:
        without, with_: Attempts in either arm, those that failed included.
        failed_without, failed_with: Of these, how many the victim failed in.
        unknown: How many more attempts beside the neighbours than without them came to nothing for any reason.
        counts: By name, what went wrong within the two trials of each pair, such as responses that were errors.
    """

    without: int = 0
    with_: int = 0
    failed_without: int = 0
    failed_with: int = 0
    unknown: int = 0
    counts: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surplus:
    """One kind of failure in both arms, and the one-sided p-value of "no more beside the neighbours"."""

    what: str
    without: float
    with_: float
    p_value: float

    @property
    def is_doubtful(self) -> bool:
        """Whether it speaks against harmlessness: only beside the neighbours, or hardly by chance."""
        return self.with_ > self.without and (self.without == 0 or self.p_value <= DOUBT)


def surpluses(trials: Trials) -> list[Surplus]:
    """Each kind of failure that was seen at all; the p-values are corrected for how many kinds there are."""
    found = []
    if trials.failed_without or trials.failed_with:
        p_value = fisher(trials.failed_without, trials.without, trials.failed_with, trials.with_)
        found.append(Surplus(TRIALS, trials.failed_without, trials.failed_with, p_value))
    for name, counts in trials.counts.items():
        without, with_ = (sum(side) for side in zip(*counts, strict=True)) if counts else (0.0, 0.0)
        if without or with_:
            found.append(Surplus(name, without, with_, flips([b - a for a, b in counts])))
    return [Surplus(s.what, s.without, s.with_, min(1.0, len(found) * s.p_value)) for s in found]


def fisher(failed_without: int, without: int, failed_with: int, with_: int) -> float:
    """P(at least `failed_with` of the failures fell beside the neighbours), one-sided (Fisher, 1935)."""
    failed = failed_without + failed_with
    return float(stats.hypergeom.sf(failed_with - 1, without + with_, failed, with_))


def flips(differences: Sequence[float]) -> float:
    """P(a sum as large as this), when each difference might as well have had the other sign; one-sided.

    Counts of one trial come in bursts, so no distribution is taken for granted, only that the order was random.
    """
    values = np.array(differences, dtype=np.float64)
    if len(values) <= EXACT_FLIPS:
        signs = 1 - 2 * ((np.arange(2 ** len(values))[:, np.newaxis] >> np.arange(len(values))) & 1)
    else:
        drawn = np.random.default_rng(FLIP_SEED).integers(0, 2, (2**EXACT_FLIPS, len(values)))
        signs = np.vstack([np.ones(len(values)), 1 - 2 * drawn])
    sums = signs @ values
    return float(np.mean(sums >= values.sum() - 1e-12 * np.abs(values).sum()))
