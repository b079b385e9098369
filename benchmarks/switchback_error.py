"""Does a switchback's interval hold the truth, where slots resemble one another? Simulated.

`python -m benchmarks.switchback_error`.

Each slot's figure is the victim's own noise, which passes from slot to slot (AR(1)), drift, and the effect where the
neighbours run; of a treated slot's effect a part may be carried over into the slots behind it.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np

from agent.documents.metric import Ratio
from agent.statistics.design import ALPHA
from agent.statistics.effect import log_ratios, to_log
from agent.statistics.intervals import interval
from agent.statistics.switchback import Block, independent, places, randomisation_p_value

HEAD = ["likeness", "carried over", "slowdown", "covered", "half width", "p < 5 %"]
SLOTS, CYCLES = 5, 24
NOISE = 0.25


def simulate(
    rng: np.random.Generator, likeness: float, carried: float, slowdown_pct: float
) -> list[list[Block]]:
    """The cycles of one run; `likeness` is the correlation of one slot's noise with the next one's."""
    blocks = CYCLES * places(SLOTS)
    treated = rng.permuted(np.tile(np.arange(places(SLOTS)), (CYCLES, 1)), axis=1).reshape(-1)
    noise = np.empty(blocks * SLOTS)
    noise[0] = rng.normal(0, NOISE)
    for n, shock in enumerate(rng.normal(0, NOISE * math.sqrt(1 - likeness**2), len(noise) - 1), 1):
        noise[n] = likeness * noise[n - 1] + shock
    effect = np.full((blocks, SLOTS), to_log(slowdown_pct))
    effect[np.arange(blocks), treated] = 0
    effect[np.arange(blocks), treated + 1] *= 1 - carried
    drift = np.cumsum(rng.normal(0, 0.01, blocks * SLOTS))
    times = np.exp((noise + drift).reshape(blocks, SLOTS) + effect).tolist()
    rows = [
        Block(tuple(Ratio(each, 1.0) for each in row), int(place))
        for row, place in zip(times, treated, strict=True)
    ]
    return [rows[n : n + places(SLOTS)] for n in range(0, blocks, places(SLOTS))]


def rows(rng: np.random.Generator, runs: int) -> Iterator[list[str]]:
    """How often the 95 % interval of a single look holds the truth, by what would spoil it."""
    for likeness in (0.0, 0.5, 0.9, 0.98):
        for carried, slowdown_pct in ((0.0, 0.0), (0.0, 20.0), (0.5, 20.0)):
            hits, widths, small = 0, list[float](), 0
            for _ in range(runs):
                cycles = simulate(rng, likeness, carried, slowdown_pct)
                ratios = log_ratios(independent(cycles, "lower", treated_is_without=True), "lower")
                low, high = interval(ratios, ALPHA) or (math.nan, math.nan)
                hits += bool(low <= to_log(slowdown_pct) <= high)
                widths.append(50 * float(high - low))
                small += randomisation_p_value(cycles, draws=199) < ALPHA
            known = f"{100 * hits / runs:.1f}", f"{np.mean(widths):.1f}", f"{100 * small / runs:.1f}"
            yield [f"{likeness:g}", f"{carried:g}", f"{slowdown_pct:g}", *known]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for row in rows(np.random.default_rng(options.seed), options.runs):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
