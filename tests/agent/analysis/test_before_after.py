"""A verdict from two recordings, on recordings built for it."""

import json
from dataclasses import replace

import pytest
from msgspec import structs

from agent.analysis.advice import Advice
from agent.analysis.before_after import DRIFT, compare
from agent.analysis.verdict import LOWER_TIER
from agent.documents.verdict import CauseKind, Conclusion, Verdict
from agent.store.run_file import Run, pack
from collectors.windows.sched import CgroupWindow
from collectors.windows.signals import HostSignals, SignalWindow
from probes.errors import UsageError
from reports.sections.verdict import effect_facts
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.test_observation import NOTHING
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, window

QUIET = cgroup(0.5, {OTHER: 0.005})
HINDERED = cgroup(0.5, {OTHER: 0.005, NEIGHBOUR: 0.4})


def run(victim: CgroupWindow, windows: int = 8, *, partial: bool = False, **meta: str) -> Run:
    """A recording whose victim waits a little more or less in each window."""
    jittered = (replace(victim, run_ns=victim.run_ns + 1_000_000 * (number % 3)) for number in range(windows))
    return Run({"host": pack(HOST), **meta}, tuple(window(each) for each in jittered), partial)


def verdict(before: Run, after: Run, cgroup_path: str | None = VICTIM) -> Verdict:
    return compare(before, after, cgroup_path, 5.0)


def test_longer_waits_behind_a_neighbour_are_interference_by_it() -> None:
    found = verdict(run(QUIET), run(HINDERED))
    assert found.verdict is Conclusion.INTERFERENCE
    assert found.effect is not None
    assert found.effect.without == pytest.approx(1.01, abs=0.01)
    assert found.effect.with_ == pytest.approx(1.81, abs=0.01)
    assert found.causes[0].cause is CauseKind.CPU_WAIT
    assert [(a.name, round(a.share_pct)) for a in found.aggressors] == [("neighbour-1", 100)]
    assert (found.victim_cgroup, found.host) == (VICTIM, HOST)


def test_two_alike_recordings_show_nothing_and_clear_nobody() -> None:
    """Two recordings may differ by 10 % for other reasons, and just as well hide as much."""
    found = verdict(run(QUIET), run(QUIET))
    assert found.verdict is Conclusion.INCONCLUSIVE
    assert found.effect is not None
    assert found.effect.ci95_pct == pytest.approx((100 * (1.1**-1.96 - 1), 100 * (1.1**1.96 - 1)), abs=0.1)
    assert found.causes == ()
    assert found.aggressors == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HINDERED, cgroup(0.5, {OTHER: 0.1, NEIGHBOUR: 0.1})),  # faster, though it waited longer for one
        (QUIET, cgroup(0.5, {OTHER: 0.006, NEIGHBOUR: 0.001})),  # by 0.4 %, which is within the threshold
    ],
)
def test_where_nothing_was_slower_there_are_no_causes_and_nobody_is_blamed(
    before: CgroupWindow, after: CgroupWindow
) -> None:
    found = verdict(run(before), run(after))
    assert found.verdict is not Conclusion.INTERFERENCE
    assert found.causes == ()
    assert found.aggressors == ()


def test_an_own_quota_is_self_inflicted() -> None:
    found = verdict(run(QUIET), run(cgroup(0.5, {OTHER: 0.005}, throttled_s=0.4)))
    assert found.verdict is Conclusion.SELF_INFLICTED


def test_what_nothing_randomised_can_show_is_never_ok() -> None:
    found = verdict(run(QUIET), run(HINDERED))
    assert not found.quality.ok
    assert DRIFT in found.quality.warnings
    assert DRIFT in found.reason
    assert "windows" in found.reason
    assert "pairs" not in found.reason


def test_the_words_are_of_recordings() -> None:
    found = verdict(run(QUIET), run(HINDERED))
    assert found.effect is not None
    facts = dict(effect_facts(found.effect).items)
    assert facts["Evidence"].startswith("8 windows, p = ")
    assert "First recording" in facts
    assert "Second recording" in facts
    faster = verdict(run(HINDERED), run(QUIET))
    assert "neighbour" not in faster.reason
    assert not {Advice.MORE_PAIRS, Advice.LONGER_TRIALS} & set(faster.advice)
    assert Advice.LONGER_RECORDINGS in faster.advice


def test_a_reason_names_the_main_cause_and_whom_the_blame_falls_on() -> None:
    reason = verdict(run(QUIET), run(HINDERED)).reason
    assert "the main cause is cpu-wait (100 % of the extra time)" in reason
    assert "100 % of the extra time falls on neighbour-1" in reason


def throttled(windows: int, own_ns: int, ancestors_ns: int) -> Run:
    """A recording whose victim is throttled for 0.4 s a window, by its own quota or an ancestor's as given."""
    plain = run(cgroup(0.5, {OTHER: 0.005}, throttled_s=0.4), windows)
    signals = SignalWindow(
        cgroups={
            VICTIM: NOTHING._replace(throttled_own_ns=own_ns, throttled_ancestors_ns=ancestors_ns),
        },
        host=HostSignals({}, {}),
    )
    beside = cgroup(0.3, path=NEIGHBOUR)
    return replace(
        plain,
        windows=tuple(
            replace(each, cgroups={**each.cgroups, NEIGHBOUR: beside}, signals=signals)
            for each in plain.windows
        ),
    )


def unthrottled(windows: int) -> Run:
    plain = run(QUIET, windows)
    signals = SignalWindow(
        cgroups={VICTIM: NOTHING._replace(throttled_own_ns=0, throttled_ancestors_ns=0)},
        host=HostSignals({}, {}),
    )
    return replace(plain, windows=tuple(replace(each, signals=signals) for each in plain.windows))


@pytest.mark.parametrize("windows", [8, 80])
def test_an_ancestors_quota_is_charged_to_those_below_it_as_in_an_experiment(windows: int) -> None:
    found = verdict(unthrottled(windows), throttled(8, 0, 400_000_000))
    assert found.verdict is Conclusion.INTERFERENCE
    assert [(a.cgroup, a.cause) for a in found.aggressors] == [(NEIGHBOUR, CauseKind.THROTTLED)]
    assert verdict(unthrottled(windows), throttled(8, 400_000_000, 0)).verdict is Conclusion.SELF_INFLICTED


def test_a_tier_that_charges_nobody_is_told_as_in_an_experiment() -> None:
    lost = cgroup(0.5, unattributed_s=0.4)
    found = verdict(run(QUIET), run(lost, tier="schedstat"))
    assert LOWER_TIER in found.quality.warnings
    assert "100 % of the victim's waiting is charged to nobody" in found.quality.warnings
    assert found.quality.blame_residual_pct == pytest.approx(100)
    assert found.causes[0].cause is CauseKind.CPU_WAIT


def test_doubts_about_the_recordings_are_told() -> None:
    elsewhere = pack(structs.replace(HOST, hostname="node-8"))
    found = verdict(run(QUIET, partial=True), run(HINDERED, host=elsewhere))
    assert "the first recording is partial" in found.quality.warnings
    assert "the recordings are not of the same host" in found.quality.warnings


def test_a_single_window_decides_nothing_and_says_why() -> None:
    found = verdict(run(QUIET, windows=1), run(HINDERED, windows=1))
    assert found.verdict is Conclusion.INCONCLUSIVE
    assert "a single window" in found.reason
    assert found.unavailable["effect.ci95_pct"] == "a single window shows no spread"


def test_the_document_can_be_read_again() -> None:
    found = verdict(run(QUIET), run(HINDERED))
    assert Verdict.from_document(json.loads(json.dumps(found.to_document()))) == found


def test_the_command_that_both_recorded_is_the_victim() -> None:
    found = verdict(run(QUIET, command_cgroup=VICTIM), run(HINDERED, command_cgroup=VICTIM), None)
    assert found.victim_cgroup == VICTIM


@pytest.mark.parametrize("given", [VICTIM[1:], VICTIM + "/"])
def test_a_path_may_lack_its_first_slash_or_have_one_more(given: str) -> None:
    assert verdict(run(QUIET), run(HINDERED), given).victim_cgroup == VICTIM


def test_without_a_cgroup_the_candidates_are_named() -> None:
    with pytest.raises(UsageError, match=VICTIM):
        verdict(run(QUIET), run(HINDERED), None)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (run(cgroup(0.5, path="/x")), run(QUIET), "no cgroup /jostle-1/victim in the first recording"),
        (run(QUIET), run(cgroup(0.5, path="/x")), "no cgroup /jostle-1/victim in the second recording"),
        (run(QUIET), run(cgroup(0.001)), "hardly ran in the second recording"),
        (run(QUIET, windows=0), run(QUIET), "no cgroup /jostle-1/victim in the first recording"),
        (run(QUIET, host="{}"), run(QUIET), "nothing readable of 'host'|its schema is"),
    ],
)
def test_recordings_that_cannot_be_compared_are_refused(before: Run, after: Run, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        verdict(before, after)


@pytest.mark.parametrize("threshold_pct", [0.0, -1.0, float("nan")])
def test_a_threshold_must_be_above_zero(threshold_pct: float) -> None:
    with pytest.raises(UsageError, match="--threshold"):
        compare(run(QUIET), run(HINDERED), VICTIM, threshold_pct)
