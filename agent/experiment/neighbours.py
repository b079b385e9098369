"""The neighbours of a trial: commands that are started and stopped, cgroups that are frozen and thawed."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from agent.documents.verdict_parts import Arm
from agent.experiment.design import WHOLE_PCT, Treatment
from agent.experiment.outputs import Outputs
from agent.experiment.plan import Plan, neighbour_name
from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import Command, start
from agent.sandbox.existing import Freezable
from agent.sandbox.janitor import Janitor
from agent.sandbox.quota import Quota, cpus_allowed, find_quota
from collectors.windows.sched import NS_PER_S

_GRACE_S = 1.0
# Processes that live outside of the frozen hierarchy would make the trials without neighbours a sham.
MOST_FROZEN_RUN_RATIO = 0.01


class Neighbours:
    """All neighbours of an experiment; `beside` has those of one trial run."""

    def __init__(
        self,
        plan: Plan,
        existing: Sequence[Freezable],
        workspace: Workspace,
        janitor: Janitor,
        outputs: Outputs,
    ) -> None:
        self._cpus = plan.cpus
        self._janitor = janitor
        self._outputs = outputs
        self._started = {
            workspace.make(f"neighbour-{number}"): command
            for number, command in enumerate(plan.neighbours, 1)
        }
        self._existing = tuple(existing)
        self._bystanders: dict[str, Freezable] = {}
        self._quotas = self._find_quotas() if plan.sweep_pct else []

    def names(self) -> dict[str, str]:
        """Display name of each neighbour's cgroup path, by the contract's rule."""
        started = {
            group.path: neighbour_name(number, command)
            for number, (group, command) in enumerate(self._started.items(), 1)
        }
        return {**started, **{neighbour.path: neighbour.name for neighbour in self._existing}}

    def cpus(self) -> float:
        """How many CPUs they get together at the level of 100 %."""
        return sum(quota.cpus for quota in self._quotas) / len(self._quotas)

    def suspect(self, bystander: Freezable) -> None:
        """Let a treatment stop also this cgroup, which is none of the neighbours."""
        self._bystanders[bystander.path] = bystander

    @contextlib.contextmanager
    def beside(self, treatment: Treatment, stem: str) -> Iterator[list[Command]]:
        """The neighbours as a trial wants them; gives the commands started. Afterwards all is as before.

        Raises:
            JostleError: One of them is gone, does not freeze or cannot be started.
        """
        commands: list[Command] = []
        with contextlib.ExitStack() as stack:
            # They end after all is put back: to end them may take longer than a lease lasts.
            stack.callback(self._stop, commands)
            for neighbour in self._existing:
                neighbour.cgroup.require()
            for standing in self._standing_still(treatment):
                stack.enter_context(standing.freezer.hold(self._janitor))
            if treatment.is_capped:
                for quota in self._quotas:
                    share = treatment.level_pct / WHOLE_PCT * quota.cpus / len(self._quotas)
                    stack.enter_context(quota.capped(share, self._janitor))
            self._start(treatment, stem, commands)
            yield commands

    def renew(self) -> None:
        """Keep what `beside` changes in force; to be called every RENEW_S.

        Raises:
            JanitorLostError: It is not: nobody would put it back.
        """
        self._janitor.renew()

    def misbehaved(self, treatment: Treatment, commands: Sequence[Command], stem: str) -> str | None:
        """What a neighbour did that makes a trial void, or became of it; to be asked before it is stopped."""
        if expired := self._janitor.expired():
            return expired
        dead = next(filter(Command.is_over, commands), None)
        if dead is not None:
            number = list(self._started).index(dead.group) + 1
            return (
                f"{neighbour_name(number, dead.text)} {dead.ending()} before the victim "
                f"(see {self._outputs.err(_stem(stem, number))})"
            )
        empty = next((each for each in self._existing if not each.cgroup.pids()), None)
        if empty is not None:
            return f"the neighbour {empty.cgroup.called} has no process left"
        thawed = next(
            (each for each in self._standing_still(treatment) if not each.freezer.is_frozen()), None
        )
        return f"{thawed.cgroup.called} was thawed by somebody else" if thawed else None

    def ran_on(self, treatment: Treatment, run_ns: Mapping[str, int], duration_s: float) -> str | None:
        """Who ran for more than a moment in a trial in which it was to stand still: not all of it was frozen."""
        for standing in self._standing_still(treatment):
            ran_s = run_ns.get(standing.path, 0) / NS_PER_S
            if ran_s > MOST_FROZEN_RUN_RATIO * duration_s:
                return f"{standing.cgroup.called} ran for {ran_s:.2f} s of {duration_s:.1f} s though it was frozen"
        return None

    def _standing_still(self, treatment: Treatment) -> list[Freezable]:
        every = {each.path: each for each in self._existing} | self._bystanders
        if treatment.arm is Arm.WITHOUT:
            return list(self._existing)
        return [every[treatment.stopped]] if treatment.stopped in every else []

    def _start(self, treatment: Treatment, stem: str, commands: list[Command]) -> None:
        """Start those that run, into `commands` one by one, so that none is lost when a later one fails."""
        for number, (group, text) in enumerate(self._started.items(), 1):
            if treatment.arm is Arm.WITH and group.path != treatment.stopped:
                out, err = (where(_stem(stem, number)) for where in (self._outputs.out, self._outputs.err))
                commands.append(start(text, group, self._cpus, out, err))
        for command in commands:
            command.release()

    def _stop(self, commands: Sequence[Command]) -> None:
        for group in self._started:
            group.stop(_GRACE_S)
        for command in commands:
            command.close()

    def _find_quotas(self) -> list[Quota]:
        allowed = cpus_allowed([os.getpid()]) if self._cpus is None else len(self._cpus)
        ours = [find_quota(group.path, group.directories, allowed) for group in self._started]
        cgroups = [neighbour.cgroup for neighbour in self._existing]
        theirs = [find_quota(each.called, each.directories, cpus_allowed(each.pids())) for each in cgroups]
        return [*ours, *theirs]


def _stem(stem: str, number: int) -> str:
    return f"{stem}-neighbour-{number}"
