"""A verdict from two recordings made at different times: `jostle compare`.

What drifted between the recordings is in the difference, and the verdict says so.
"""

from collections.abc import Iterator, Sequence

from agent.analysis.observation import observe, stretch
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
from agent.statistics.effect import EffectEstimate, measure_unpaired
from agent.store.run_file import Run
from collectors.host.hierarchy import leaf

DRIFT = "the recordings were made one after the other: what else changed between them is in the difference"


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
    others = {path for each in (*before, *after) for path in each.window.cgroups}
    return comparison_verdict(
        RecordingComparison(
            run=with_,
            windows=(*without.windows, *with_.windows),
            victim=paths[1],
            compared=Compared.RECORDINGS,
            pair=(
                observe([each.window for each in before], paths[0]),
                observe([each.window for each in after], paths[1]),
            ),
            effect=_effect(before, after, threshold_pct),
            when="in the second recording",
            unit="window",
            caveats=[DRIFT],
            warnings=tuple(_doubts(without, with_)),
            neighbours={path: leaf(path) for path in others},
        )
    )


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
