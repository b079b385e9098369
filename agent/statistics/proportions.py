"""How often a verdict is right: a proportion with the exact interval of Clopper and Pearson."""

from dataclasses import dataclass

from scipy import stats

from probes.errors import UsageError


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` out of `trials`."""

    hits: int
    trials: int
    pct: float
    ci95_pct: tuple[float, float]


def proportion(hits: int, trials: int) -> Proportion:
    """The proportion and its interval, which covers at least 95 % at any n (Biometrika 26:404, 1934).

    Raises:
        UsageError: no trials, or hits outside 0 ... trials.
    """
    if not 0 <= hits <= trials or trials == 0:
        raise UsageError(f"{hits} of {trials} is not a proportion", "count hits among at least one trial")
    bounds = stats.binomtest(hits, trials).proportion_ci(method="exact")
    return Proportion(hits, trials, 100 * hits / trials, (100 * float(bounds.low), 100 * float(bounds.high)))
