"""How much more of an amount there was with the neighbours than without them, per unit of the victim's work."""

from collections.abc import Callable

from agent.analysis.observation import Pairs, VictimObservation


def growth_per_work(pairs: Pairs, amount: Callable[[VictimObservation], int | None]) -> float | None:
    """In all pairs together, at least 0; None where it was not measured."""
    grown = 0.0
    for without, with_ in pairs:
        before, after = amount(without), amount(with_)
        if before is None or after is None:
            return None
        grown += after / with_.work - before / without.work
    return max(0.0, grown)


def growth_ratio(pairs: Pairs, amount: Callable[[VictimObservation], int]) -> float:
    """As a part of what there was with the neighbours; 0 to 1."""
    whole = with_neighbours(pairs, amount)
    return (growth_per_work(pairs, amount) or 0.0) / whole if whole else 0.0


def with_neighbours(pairs: Pairs, amount: Callable[[VictimObservation], int]) -> float:
    """What there was with them, in all pairs together."""
    return sum(amount(with_) / with_.work for _, with_ in pairs)


def without_neighbours(pairs: Pairs, amount: Callable[[VictimObservation], int]) -> float:
    """What there was without them, likewise."""
    return sum(amount(without) / without.work for without, _ in pairs)
