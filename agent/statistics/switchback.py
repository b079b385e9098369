"""A switchback: one victim, a treatment that goes on and off in short slots, and what follows from hundreds of them.

A block is a row of slots of one length. In one of them the treatment is in force; the next is the washout, which counts
for neither arm; all others are controls. Where the treated slot lies is drawn anew for each block, every place once in
a *cycle* of blocks, so that a drift within blocks cancels within a cycle. Bojinov, Simchi-Levi and Zhao (Management
Science 69:3759, 2023) have the theory of such designs.

Neighbouring slots resemble each other. So an interval is never made of slots: the slots of a cycle are added up to one
pair, and what slots have in common is common to both of its figures. Pairs that still resemble their successors are
added up further. The p-value needs no such assumption: it places the treated slots anew in every way the design could
have, on the very figures that were measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.documents.metric import Better, Ratio
from agent.statistics.design import ALPHA
from agent.statistics.effect import TrialPair, log_ratios
from agent.statistics.intervals import Floats, student_factor

FEWEST_SLOTS = 4
"""The treated one, its washout, and two controls."""
FEWEST_PAIRS = 4
DRAWS = 4999
DRAW_SEED = 20261129
# How far a part of a slot may be from the slot's end and still count as having arrived there.
_ARRIVED_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Block:
    """A figure in the slots of one block, in the order they ran; `treated` is the place of the treated slot."""

    slots: tuple[Ratio, ...]
    treated: int

    @property
    def treatment(self) -> Ratio:
        """In the treated slot."""
        return self.slots[self.treated]

    @property
    def control(self) -> Ratio:
        """In the controls, the washout left out."""
        return sum((self.slots[place] for place in self.controls), Ratio())

    @property
    def controls(self) -> list[int]:
        """Their places."""
        return [place for place in range(len(self.slots)) if place not in (self.treated, self.treated + 1)]


def places(slots: int) -> int:
    """In how many places of a block the treated slot may lie: as many blocks are a cycle."""
    return slots - 1


def pair_of(blocks: Sequence[Block], *, treated_is_without: bool) -> TrialPair:
    """The blocks of whole cycles as one pair; `treated_is_without`: the treatment takes the neighbours away."""
    treated = sum((block.treatment for block in blocks), Ratio()).value
    control = sum((block.control for block in blocks), Ratio()).value
    return TrialPair(treated, control) if treated_is_without else TrialPair(control, treated)


def independent(
    cycles: Sequence[Sequence[Block]], better: Better, *, treated_is_without: bool
) -> list[TrialPair]:
    """A pair of each cycle, or of two, four, … of them together until no pair resembles the one before it."""
    groups = [list(cycle) for cycle in cycles]
    while True:
        pairs = [pair_of(group, treated_is_without=treated_is_without) for group in groups]
        half = len(groups) // 2
        if half < FEWEST_PAIRS or not resemble(log_ratios(pairs, better)):
            return pairs
        # An odd one out goes with the last: nothing that was measured is left out.
        joined = [[*groups[2 * n], *groups[2 * n + 1]] for n in range(half)]
        if len(groups) % 2:
            joined[-1] += groups[-1]
        groups = joined


def resemble(values: Floats) -> bool:
    """Whether successive values are alike: correlated at lag 1 as independent ones are 1 time in 20."""
    centred = values - np.mean(values)
    whole = float(np.sum(centred**2))
    return whole > 0 and float(np.sum(centred[1:] * centred[:-1])) / whole > 1.645 / math.sqrt(len(values))


def randomisation_p_value(cycles: Sequence[Sequence[Block]], draws: int = DRAWS) -> float:
    """Two-sided p-value of "the treatment changes nothing", over `draws` placements that could have been drawn."""
    blocks = [block for cycle in cycles for block in cycle]
    over = np.array([[slot.over for slot in block.slots] for block in blocks])
    under = np.array([[slot.under for slot in block.slots] for block in blocks])
    slots, rng = over.shape[1], np.random.default_rng(DRAW_SEED)
    ways, whole = places(slots), -(-len(blocks) // places(slots))
    drawn = rng.permuted(np.tile(np.arange(ways), (draws, whole, 1)), axis=2).reshape(draws, -1)
    placed = np.vstack([[block.treated for block in blocks], drawn[:, : len(blocks)]])
    rows = np.arange(len(blocks))

    def parted(amounts: Floats) -> tuple[Floats, Floats]:
        treated = amounts[rows, placed].sum(axis=1)
        return treated, amounts.sum() - treated - amounts[rows, placed + 1].sum(axis=1)

    (treated_over, control_over), (treated_under, control_under) = parted(over), parted(under)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(control_over * treated_under / (control_under * treated_over)))
    apart = np.nan_to_num(apart, nan=np.inf)
    return float(np.mean(apart >= apart[0] * (1 - 1e-12)))


def carry_over_pct(cycles: Sequence[Sequence[Block]]) -> float | None:
    """By how much the controls right behind the washout differ from the other controls, in per cent.

    None: by no more than chance does 1 time in 100, or there is too little to tell.
    """
    ratios = []
    for cycle in cycles:
        behind, others = Ratio(), Ratio()
        for block in cycle:
            for place in block.controls:
                if place == block.treated + 2:
                    behind += block.slots[place]
                else:
                    others += block.slots[place]
        ratios.append(math.log(behind.value / others.value) if behind.over > 0 < others.over else math.nan)
    values = np.array([ratio for ratio in ratios if math.isfinite(ratio)])
    if len(values) < FEWEST_PAIRS:
        return None
    mean = float(np.mean(values))
    certain = abs(mean) > student_factor(len(values), ALPHA / 5) * float(np.std(values, ddof=1))
    return 100 * math.expm1(mean) if certain else None


def guard_s(edges_s: Sequence[float], parts: Sequence[Ratio]) -> float:
    """How long to wait after a change: the first of `edges_s` behind which each part of a slot agrees with the last.

    Args:
        edges_s: Where the parts end, since the change; the last part goes on to the slot's end.
        parts: A figure of which less is better, in each part, one more than edges; added up over many slots.
    """
    arrived = parts[-1].value
    chosen = edges_s[-1]
    for edge_s, part in reversed(list(zip(edges_s, parts[1:], strict=True))):
        value = part.value
        if math.isfinite(value) and math.isfinite(arrived) and value > arrived * _ARRIVED_RATIO:
            break
        chosen = edge_s
    return chosen
