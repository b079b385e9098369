"""Running the scenarios, each as `jostle experiment` would, in random order."""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from agent.documents.selftest import Label, Selftest, SelftestFinding
from agent.documents.times import moment
from agent.documents.verdict import Verdict
from agent.experiment.conclude import conclude
from agent.experiment.plan import Plan, neighbour_name
from agent.experiment.runner import Observer
from agent.experiment.session import run_session
from agent.experiment.victim_metrics import parse_spec
from agent.recording.host import describe_host
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.selftest.scenarios import Place, Scenario
from agent.selftest.score import rates, tallies
from collectors.host.hierarchy import detect_layout
from collectors.host.readings import Missing
from collectors.host.topology import Topology
from probes.errors import HostError, JostleError

PAIRS, MAX_PAIRS = 4, 12
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
    """What to run: every scenario `repeat` times, in an order drawn from `seed`."""

    scenarios: tuple[Scenario, ...]
    repeat: int
    seed: int

    def order(self) -> list[tuple[Scenario, int]]:
        """(scenario, seed of its experiment) in the order they run.

        `random.Random(seed).random()` alone: the one method whose sequence is promised to stay.
        """
        draw = random.Random(self.seed).random  # noqa: S311  a written-down order, no secret
        drawn = [(draw(), scenario) for scenario in self.scenarios for _ in range(self.repeat)]
        shuffled = [scenario for _, scenario in sorted(drawn, key=lambda each: each[0])]
        return [(scenario, int(draw() * 2**31)) for scenario in shuffled]


def choose_place(allowed: Sequence[int], topology: Topology) -> Place:
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
    return Place(first, there)


def run_selftest(campaign: Campaign, observer: SelftestObserver, interrupts: Interrupts) -> Selftest:
    """Run all experiments, or as many as there is time for until an interrupt.

    Raises:
        HostError: This host cannot run any experiment.
    """
    started, start_s = moment(time.time()), time.monotonic()
    labels = tuple(map(label_of, campaign.scenarios))
    findings = list(_findings(campaign, observer, interrupts))
    planned = len(campaign.order())
    return Selftest(
        partial=len(findings) < planned,
        planned=planned,
        seed=campaign.seed,
        repeat=campaign.repeat,
        threshold_pct=THRESHOLD_PCT,
        started=started,
        duration_s=time.monotonic() - start_s,
        jostle_version=version("jostle"),
        host=describe_host(detect_layout()),
        rates=rates(labels, findings),
        tallies=tallies(labels, findings),
        labels=labels,
        findings=tuple(findings),
    )


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
    campaign: Campaign, observer: SelftestObserver, interrupts: Interrupts
) -> Iterator[SelftestFinding]:
    order = campaign.order()
    for number, (scenario, seed) in enumerate(order, 1):
        if interrupts.requested:
            return
        within = observer.experiment_started(number, len(order), scenario)
        start_s = time.monotonic()
        outcome: Verdict | JostleError
        try:
            outcome = _experiment(scenario, seed, within, interrupts)
        except HostError:
            raise
        except Interrupted:
            return
        except JostleError as error:
            outcome = error
        finding = finding_of(scenario, seed, time.monotonic() - start_s, outcome)
        observer.experiment_ended(label_of(scenario), finding)
        yield finding


def _experiment(scenario: Scenario, seed: int, observer: Observer, interrupts: Interrupts) -> Verdict:
    """What `jostle experiment` does, to its verdict.

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
    )
    with tempfile.TemporaryDirectory(prefix="jostle-selftest-") as directory:
        session = run_session(plan, Path(directory), observer, interrupts)
        decision = session.outcome.decision
        if session.outcome.partial or decision is None:
            raise Interrupted
        return conclude(session, decision, command=("jostle", "selftest"), files=())


def finding_of(
    scenario: Scenario, seed: int, duration_s: float, outcome: Verdict | JostleError
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
    )
