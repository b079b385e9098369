"""Running the scenarios, each as `jostle experiment` would, in random order."""

import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Protocol

from agent.documents.selftest import Label, Selftest, SelftestFinding
from agent.documents.times import moment
from agent.documents.verdict import Conclusion, Verdict
from agent.documents.verdict_parts import Arm
from agent.experiment.conclude import conclude
from agent.experiment.plan import Plan, neighbour_name
from agent.experiment.runner import Observer
from agent.experiment.session import run_session
from agent.experiment.victim_metrics import parse_spec
from agent.recording.host import describe_host
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.selftest.bystander import bystander
from agent.selftest.scenarios import Scenario, TwoCpus
from agent.selftest.score import rates, tallies, trial_noise_pct
from collectors.host.hierarchy import detect_layout
from collectors.host.readings import Missing
from collectors.host.topology import Topology
from probes.errors import HostError, JostleError, UsageError

PAIRS, MAX_PAIRS = 6, 24
THRESHOLD_PCT = 5.0
_TIMEOUT_S = 60.0


class SelftestObserver(Protocol):
    """Is told how the self-test comes along."""

    def experiment_started(self, number: int, planned: int, scenario: Scenario) -> Observer:
        """An experiment begins, number 1 the first; what it returns is told how that comes along."""

    def experiment_ended(self, label: Label, finding: SelftestFinding) -> None:
        """An experiment ended, or failed."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What to run: every scenario `repeat` times, in an order drawn from `seed`; beside a bystander or alone.

    Those with nothing to find `repeat_nothing` times, where that is given: to show that a rate is small takes many.
    """

    scenarios: tuple[Scenario, ...]
    repeat: int
    seed: int
    bystander: bool = False
    repeat_nothing: int | None = None

    def order(self) -> list[tuple[Scenario, int]]:
        """(scenario, seed of its experiment) in the order they run.

        `random.Random(seed).random()` alone: the one method whose sequence is promised to stay.
        """
        draw = random.Random(self.seed).random  # noqa: S311  a written-down order, no secret
        drawn = [(draw(), scenario) for scenario in self.scenarios for _ in range(self._times(scenario))]
        shuffled = [scenario for _, scenario in sorted(drawn, key=lambda each: each[0])]
        return [(scenario, int(draw() * 2**31)) for scenario in shuffled]

    def _times(self, scenario: Scenario) -> int:
        has_effect = scenario.verdict is not Conclusion.NO_INTERFERENCE
        return self.repeat if has_effect or self.repeat_nothing is None else self.repeat_nothing


def choose_cpus(allowed: Sequence[int], topology: Topology) -> TwoCpus:
    """Two CPUs that do not share a core.

    Raises:
        HostError: There are no two such CPUs to be used.
    """
    cores = topology.cores
    if isinstance(cores, Missing):
        raise HostError(f"which CPUs share a core is not known: {cores.reason}", cores.remedy)
    first = min(allowed)
    mine = next((core for core in cores if first in core), frozenset({first}))
    there = next((cpu for cpu in sorted(allowed) if cpu not in mine), None)
    if there is None:
        raise HostError(
            "the self-test needs two CPUs that do not share a core", "run it on a larger host, or unpinned"
        )
    return TwoCpus(first, there)


def run_selftest(
    campaign: Campaign,
    observer: SelftestObserver,
    interrupts: Interrupts,
    keep: Callable[[Selftest], None] = lambda _: None,
    begun: Selftest | None = None,
) -> Selftest:
    """Run all experiments, or as many as there is time for until an interrupt.

    Args:
        campaign: Of which experiments.
        observer: Is told of each.
        interrupts: Ends it.
        keep: Is given the document after each experiment.
        begun: What there is already, to be gone on with; see `resumed`.

    Raises:
        HostError: This host cannot run any experiment.
    """
    started, start_s = begun.started if begun else moment(time.time()), time.monotonic()
    before_s = begun.duration_s if begun else 0.0
    labels, planned = tuple(map(label_of, campaign.scenarios)), len(campaign.order())
    layout = detect_layout()
    host, findings = describe_host(layout), list(begun.findings if begun else ())

    def so_far() -> Selftest:
        noises = [each.trial_noise_pct for each in findings if each.trial_noise_pct is not None]
        return Selftest(
            partial=len(findings) < planned,
            planned=planned,
            seed=campaign.seed,
            repeat=campaign.repeat,
            threshold_pct=THRESHOLD_PCT,
            started=started,
            duration_s=before_s + time.monotonic() - start_s,
            jostle_version=version("jostle"),
            host=host,
            rates=rates(labels, findings),
            tallies=tallies(labels, findings),
            labels=labels,
            findings=tuple(findings),
            bystander=campaign.bystander,
            repeat_nothing=campaign.repeat_nothing,
            trial_noise_pct=median(noises) if noises else None,
        )

    with bystander(layout) if campaign.bystander else contextlib.nullcontext():
        for finding in _findings(campaign, observer, interrupts, len(findings)):
            findings.append(finding)
            keep(so_far())
    return so_far()


def resumed(begun: Selftest, known: Sequence[Scenario]) -> Campaign:
    """The campaign that a document is a part of.

    Raises:
        UsageError: It is whole, of another version, or of scenarios that are others today.
    """
    by_name = {scenario.name: scenario for scenario in known}
    chosen = tuple(by_name[label.scenario] for label in begun.labels if label.scenario in by_name)
    campaign = Campaign(chosen, begun.repeat, begun.seed, begun.bystander, begun.repeat_nothing)
    if not begun.partial:
        raise UsageError("this self-test is whole: there is nothing to go on with", "start another one")
    done = [(finding.scenario, finding.seed) for finding in begun.findings]
    ran = [(scenario.name, seed) for scenario, seed in campaign.order()[: len(done)]]
    if begun.jostle_version != version("jostle") or len(chosen) < len(begun.labels) or done != ran:
        raise UsageError("this self-test was begun by another jostle", "start it anew")
    return campaign


def label_of(scenario: Scenario) -> Label:
    """The scenario as the document has it."""
    culprit = scenario.culprit
    return Label(
        scenario=scenario.name,
        truth=scenario.truth,
        verdict=scenario.verdict,
        cause=scenario.cause,
        culprit=None if culprit is None else neighbour_name(culprit, scenario.neighbours[culprit - 1]),
        victim=scenario.victim,
        neighbours=scenario.neighbours,
    )


def _findings(
    campaign: Campaign, observer: SelftestObserver, interrupts: Interrupts, done: int
) -> Iterator[SelftestFinding]:
    order = campaign.order()
    for number, (scenario, seed) in enumerate(order[done:], done + 1):
        if interrupts.requested:
            return
        within = observer.experiment_started(number, len(order), scenario)
        start_s = time.monotonic()
        outcome: Verdict | JostleError
        noise_pct = None
        try:
            outcome, noise_pct = _experiment(scenario, seed, within, interrupts)
        except HostError:
            raise
        except Interrupted:
            return
        except JostleError as error:
            outcome = error
        finding = finding_of(scenario, seed, time.monotonic() - start_s, outcome, noise_pct)
        observer.experiment_ended(label_of(scenario), finding)
        yield finding


def _experiment(
    scenario: Scenario, seed: int, observer: Observer, interrupts: Interrupts
) -> tuple[Verdict, float | None]:
    """What `jostle experiment` does, to its verdict; and the noise of its trials without the neighbours.

    Raises:
        Interrupted: Before it came to its end.
        JostleError: As `run_session`.
    """
    plan = Plan(
        victim=scenario.victim,
        neighbours=scenario.neighbours,
        metrics=(parse_spec("duration"),),
        pairs=PAIRS,
        max_pairs=MAX_PAIRS,
        seed=seed,
        threshold_pct=THRESHOLD_PCT,
        timeout_s=_TIMEOUT_S,
        cpus=None,
        confirm="auto",
    )
    with tempfile.TemporaryDirectory(prefix="jostle-selftest-") as directory:
        session = run_session(plan, Path(directory), observer, interrupts)
        decision = session.outcome.decision
        if session.outcome.partial or decision is None:
            raise Interrupted
        alone = [t.seen.sample.value for t in session.outcome.trials if not t.void and t.arm is Arm.WITHOUT]
        return conclude(session, decision, command=("jostle", "selftest"), files=()), trial_noise_pct(alone)


def finding_of(
    scenario: Scenario,
    seed: int,
    duration_s: float,
    outcome: Verdict | JostleError,
    noise_pct: float | None = None,
) -> SelftestFinding:
    """What the self-test keeps of a verdict, or of the error for which there is none."""
    verdict = outcome if isinstance(outcome, Verdict) else None
    effect = verdict.effect if verdict else None
    cause = max(verdict.causes, key=lambda each: each.share_pct, default=None) if verdict else None
    culprit = next(iter(verdict.aggressors), None) if verdict else None
    return SelftestFinding(
        scenario=scenario.name,
        seed=seed,
        duration_s=duration_s,
        verdict=verdict.verdict if verdict else None,
        reason=verdict.reason if verdict else None,
        slowdown_pct=effect.slowdown_pct if effect else None,
        ci95_pct=effect.ci95_pct if effect else None,
        pairs=effect.pairs if effect else None,
        cause=cause.cause if cause else None,
        cause_share_pct=cause.share_pct if cause else None,
        culprit=culprit.name if culprit else None,
        culprit_share_pct=culprit.share_pct if culprit else None,
        error=None if verdict else str(outcome),
        trial_noise_pct=noise_pct,
    )
