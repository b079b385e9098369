"""Failures that pass for speed: a victim that fails more often beside its neighbours."""

from collections.abc import Iterable, Sequence

from agent.documents.metric import Sample


def more_failures(pairs: Iterable[tuple[Sequence[Sample], Sequence[Sample]]]) -> list[str]:
    """A warning for each count of failures that is larger beside the neighbours than without them.

    A surplus of any size makes the verdict doubtful; how large a one decides is not for here to say.

    Args:
        pairs: the samples of a trial without the neighbours and of one with them.
    """
    counts: dict[str, tuple[float, float]] = {}
    for without, with_ in pairs:
        before, after = _failures(without), _failures(with_)
        for name in before.keys() & after.keys():
            total = counts.get(name, (0.0, 0.0))
            counts[name] = (total[0] + before[name], total[1] + after[name])
    return [
        f"the victim failed more often beside the neighbours: {name} {without:,.0f} without them, {with_:,.0f} with "
        "them; what fails fast is not fast"
        for name, (without, with_) in sorted(counts.items())
        if with_ > without
    ]


def _failures(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in samples if sample.metric.is_failure_count}
