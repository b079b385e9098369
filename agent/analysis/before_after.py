"""A verdict from two recordings made at different times: `jostle compare`.

What drifted between the recordings is in the difference, and the verdict says so.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from agent.analysis.observation import Pairs, VictimObservation, observe, stretch
from agent.analysis.recordings import (
    RecordingComparison,
    VictimWindow,
    comparison_verdict,
    recorded_cgroup,
    victim_windows,
)
from agent.documents.metric import require_threshold
from agent.documents.verdict import Compared, Verdict
from agent.documents.verdict_parts import Host
from agent.statistics.effect import EffectEstimate
from agent.statistics.unpaired import BETWEEN_PCT, measure_unpaired
from agent.store.recorded import names_of
from agent.store.run_file import Run

DRIFT = (
    "the recordings were made one after the other: what else changed between them is in the difference, and two "
    f"recordings of one thing are taken to differ by {BETWEEN_PCT:g} % anyhow"
)

STRETCHES = 6


def compare(without: Run, with_: Run, cgroup: str | None, threshold_pct: float) -> Verdict:
    """The verdict on `cgroup`, or on the one that both recordings ran as their command.

    Raises:
        UsageError: No cgroup is given or named by both recordings, or it is not in both, or hardly ran; or the
            threshold is not above 0.
    """
    require_threshold(threshold_pct)
    paths = (recorded_cgroup(without, cgroup, "the first"), recorded_cgroup(with_, cgroup, "the second"))
    before = victim_windows(without, paths[0], "the first")
    after = victim_windows(with_, paths[1], "the second")
    # Nobody says who the neighbours are: an ancestor's quota may have been used up by anyone.
    called = names_of(with_)
    others = {path for each in (*before, *after) for path in each.window.cgroups}
    return comparison_verdict(
        RecordingComparison(
            run=with_,
            windows=(*without.windows, *with_.windows),
            victim=paths[1],
            compared=Compared.RECORDINGS,
            pairs=_stretches(before, after, paths),
            effect=_effect(before, after, threshold_pct),
            when="in the second recording",
            unit="window",
            caveats=[DRIFT],
            warnings=tuple(_doubts(without, with_)),
            neighbours={path: called(path) for path in others},
        )
    )


def _stretches(
    before: Sequence[VictimWindow], after: Sequence[VictimWindow], paths: tuple[str, str]
) -> Pairs:
    """Each recording cut into as many stretches, so that what is shared out has a spread."""
    count = min(STRETCHES, len(before), len(after))

    def cut(windows: Sequence[VictimWindow], path: str) -> list[VictimObservation]:
        ends = [number * len(windows) // count for number in range(count + 1)]
        return [observe([each.window for each in windows[a:b]], path) for a, b in pairwise(ends)]

    return list(zip(cut(before, paths[0]), cut(after, paths[1]), strict=True))


def _effect(
    before: Sequence[VictimWindow], after: Sequence[VictimWindow], threshold_pct: float
) -> EffectEstimate:
    without, with_ = ([stretch(each.victim) for each in side] for side in (before, after))
    return measure_unpaired(without, with_, threshold_pct)


def _doubts(without: Run, with_: Run) -> Iterator[str]:
    for name, run in (("first", without), ("second", with_)):
        if run.partial:
            yield f"the {name} recording is partial"
    if without.record("host", Host) != with_.record("host", Host):
        yield "the recordings are not of the same host"
