"""What comparisons of recordings share: whom they are about, which windows count, and their verdict.

There is no end-to-end figure in a recording, so the figure is the stretch: seconds that a cgroup ran or waited per
second that it ran, 1 when it never waits. And nothing was randomised, so the verdict says so and is never
`quality.ok`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.analysis.blame import tasks_of
from agent.analysis.observation import Pairs, is_idle
from agent.analysis.verdict import Claim, Findings, Origin, VerdictBasis, find, reason_of, verdict_of
from agent.documents.metric import STRETCH
from agent.documents.verdict import Compared, Conclusion, Verdict
from agent.documents.verdict_parts import Host, Witness
from agent.statistics.decision import follows, judge, measured
from agent.statistics.effect import EffectEstimate
from agent.store.recorded import cgroups_of
from agent.store.run_file import Run
from collectors.host.resolver import resolve
from collectors.windows.sched import NS_PER_S, CgroupWindow, SchedWindow, subtree, totals
from probes.errors import UsageError


def recorded_cgroup(run: Run, given: str | None, which: str) -> str:
    """The path of the cgroup that a person means, or of the command that was recorded.

    `which` recording it is, is for the message: `the first`, `the`.

    Raises:
        UsageError: It is not in the recording, or is several; or none is given and no command was recorded.
    """
    wanted = run.meta.get("command_cgroup") if given is None else given
    if wanted is None:
        busiest = sorted(totals(run.windows).values(), key=lambda c: -c.wait_ns)[:5]
        raise UsageError(
            "compare needs to know which cgroup is the victim",
            f"give --cgroup PATH; those that waited longest: {', '.join(c.path for c in busiest) or 'none'}",
        )
    return resolve(wanted, cgroups_of(run, f" in {which} recording"))


@dataclass(frozen=True, slots=True)
class VictimWindow:
    """One window of a recording, and the victim with everything below it in it."""

    window: SchedWindow
    victim: CgroupWindow


def victim_windows(run: Run, victim: str, which: str) -> list[VictimWindow]:
    """The windows in which the victim ran enough to say anything.

    Raises:
        UsageError: There is none.
    """
    every = [VictimWindow(window, subtree(window.cgroups, victim)) for window in run.windows]
    found = [each for each in every if not is_idle(each.victim, each.window.duration_ns / NS_PER_S)]
    if not found:
        raise UsageError(f"the cgroup {victim} hardly ran in {which} recording", "record while it works")
    return found


@dataclass(frozen=True, slots=True)
class RecordingComparison:
    """Two kinds of windows, and what is to be said of them.

    Attributes:
        run: The recording whose tier, counters and host the verdict has.
        windows: All windows of all recordings.
        victim: Its cgroup.
        compared: What was compared.
        pairs: The victim in stretches of windows of either kind.
        effect: What they differ by.
        when: When the second kind was, such as `in the second recording`.
        unit: What the effect counts as a pair.
        caveats: What the reason ends with, and the first of the warnings.
        warnings: What else is doubtful.
        neighbours: The display name of each neighbour's cgroup, where one is known.
        sole: How an only neighbour is tied to what nobody was seen at.
    """

    run: Run
    windows: Sequence[SchedWindow]
    victim: str
    compared: Compared
    pairs: Pairs
    effect: EffectEstimate
    when: str
    unit: str
    caveats: Sequence[str]
    warnings: Sequence[str] = ()
    neighbours: Mapping[str, str] = field(default_factory=dict)
    sole: Witness | None = None


def comparison_verdict(found: RecordingComparison) -> Verdict:
    """The verdict on a comparison."""
    effect = found.effect
    judged = judge(effect.ci95_pct, effect.threshold_pct)
    findings = find(found.pairs, judged, effect, found.neighbours, tasks_of(found.run), sole=found.sole)
    clauses = (measured(effect, found.when, found.unit), follows(judged, effect, found.unit))
    why_none = (
        f"a single {found.unit} shows no spread"
        if effect.pairs == 1
        else f"the {found.unit}s are too few, or too much like those before them, to show a spread"
    )
    claim = Claim(effect, STRETCH, found.compared, why_none)
    warnings = (*found.caveats, *found.warnings)
    basis = VerdictBasis(found.pairs, found.windows, _tier(found.run), _pmu(found.run), warnings)
    return verdict_of(
        findings,
        claim,
        basis,
        _origin(found.run, found.victim),
        reason_of(clauses, findings, found.caveats),
    )


def undecided_verdict(
    run: Run, victim: str, compared: Compared, why: str, warnings: Sequence[str]
) -> Verdict:
    """The verdict where there is too little to compare."""
    findings, claim = Findings(Conclusion.INCONCLUSIVE), Claim(None, STRETCH, compared, why)
    basis = VerdictBasis([], run.windows, _tier(run), _pmu(run), warnings)
    return verdict_of(findings, claim, basis, _origin(run, victim), reason_of([why], findings))


def _origin(run: Run, victim: str) -> Origin:
    return Origin(victim, run.record("host", Host), None, "a recording says its own")


def _tier(run: Run) -> str:
    return run.meta.get("tier", "unknown")


def _pmu(run: Run) -> str:
    """Whether the recording has counters, and if not, why."""
    signals = [window.signals for window in run.windows if window.signals is not None]
    if any(window.counters for window in signals):
        return "available"
    refused = next((w.missing["counters.cycles"] for w in signals if "counters.cycles" in w.missing), None)
    return f"unavailable: {refused.reason if refused else 'not in the recording'}"
