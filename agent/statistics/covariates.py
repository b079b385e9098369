"""Less noise, honestly: what each trial lost to those who have nothing to do with the neighbours.

Where a bystander has the CPU for a third of a trial, and for a half of the next, no number of trials clears anybody.
The probe knows of each trial which part of its time went that way. So the time without that part is compared as well:
a difference in accounted time, by a factor that is fixed (1) and not fitted, so that under "they change nothing" pairs
stay as symmetric as before. (Deng et al., WSDM 2013, fit the factor; of so few pairs that would cost coverage.)

It is right as long as what bystanders take is not itself the neighbours' doing, so it is used only where nothing speaks
for that, only to clear, and with the part that they took said. `interference` is always judged with all of the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.documents.metric import Better
from agent.statistics.effect import Ratios, TrialPair
from agent.statistics.intervals import Floats, student_factor

# Two-sided error of the test that bystanders took as much in both arms: rather not used than used wrongly.
GATE_ALPHA = 0.1
# The pairs must differ by at most so much of what they differed by before.
MOST_SPREAD_RATIO = 0.8
# Of a trial that lost more than this there is too little left to judge.
_MOST_TAKEN = 0.9
# Two pairs have a spread, and no more.
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The pairs with the time that bystanders took left out, and what that was, in per cent of each arm's time."""

    pairs: list[TrialPair]
    without_pct: float
    with_pct: float


def adjust(pairs: Sequence[TrialPair], better: Better, of: Ratios) -> Adjusted | None:
    """The pairs to clear the neighbours by, where they are better than those measured; `of` are these as arrays.

    None: what bystanders took is not known in every trial, the neighbours may have had a part in it, or leaving it out
    makes the pairs no more alike.
    """
    kept = kept_of(pairs)
    if kept is None or not is_better(of, kept):
        return None
    in_pct = 100 * (1 - kept.mean(axis=1))
    return Adjusted(left_out(pairs, better, of, kept), float(in_pct[0]), float(in_pct[1]))


def kept_of(pairs: Sequence[TrialPair]) -> Floats | None:
    """What bystanders left of the time of each trial, shape (2, pairs); None: not known of all."""
    taken = [pair.taken for pair in pairs if pair.taken is not None]
    return 1 - np.clip(np.array(taken).T, 0, _MOST_TAKEN) if len(taken) == len(pairs) else None


def left_out(pairs: Sequence[TrialPair], better: Better, of: Ratios, kept: Floats) -> list[TrialPair]:
    """The pairs without what bystanders took of them; `of` are these as arrays."""
    times = [(float(a), float(b)) for a, b in zip(*adjusted_times(of, kept), strict=True)]
    if better == "higher":
        times = [(1 / a, 1 / b) for a, b in times]
    return [
        TrialPair(a, b, None if pair.step is None else pair.step * a / pair.without)
        for (a, b), pair in zip(times, pairs, strict=True)
    ]


def adjusted_times(of: Ratios, kept: Floats) -> tuple[Floats, Floats]:
    """The times of both arms without what bystanders took; `kept` is what they left of it, shape (2, ..., pairs)."""
    return of.without * kept[0], of.with_ * kept[1]


def is_better(of: Ratios, kept: Floats) -> npt.NDArray[np.bool_]:
    """Whether to leave out what bystanders took, for each run of many; shapes as above.

    Not where they took more or less of the time beside the neighbours than chance explains.
    """
    count = of.typical.shape[-1]
    differences = np.log(kept[1]) - np.log(kept[0])
    if count < _FEWEST:
        return np.zeros(differences.shape[:-1], dtype=bool)
    margin = student_factor(count, GATE_ALPHA) * differences.std(axis=-1, ddof=1)
    alike = np.abs(differences.mean(axis=-1)) <= margin
    spread = (of.typical + differences).std(axis=-1, ddof=1)
    quieter = spread <= MOST_SPREAD_RATIO * of.typical.std(axis=-1, ddof=1)
    return np.asarray(alike & quieter)


def known_in(pairs: Sequence[TrialPair]) -> int:
    """In how many pairs it is known what bystanders took in both trials."""
    return sum(pair.taken is not None for pair in pairs)
