"""One trial: the victim runs once, with the neighbours or without them, and is measured from outside."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from agent.experiment.plan import Plan, neighbour_name
from agent.experiment.process import Command, start, wait_for_first
from agent.experiment.trial_cgroups import Workspace
from agent.interrupts import Interrupts
from agent.metrics import DURATION, MetricSpec, Sample, read_metrics
from agent.verdict import Arm
from collectors import sched
from collectors.sched import CgroupWindow, SchedWindow
from collectors.source import Source
from probes.errors import JostleError

# How long the neighbours run before the victim starts: a fork bomb of workers is up by then, and one that dies
# at once is found out before the victim has run for nothing.
SETTLE_S = 0.3
_NEIGHBOUR_GRACE_S = 1.0
# At the end of a trial at most this much of the victim's time is missing, in the tier without eBPF.
_POLL_S = 0.05
# Of a victim's output, which a chatty one makes endless, the figure is looked for in the end.
OUTPUT_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one trial gave.

    Attributes:
        index: Number of the trial in the order they ran, from 0.
        block: Number of its block, from 0; void trials are repeated in the same block.
        arm: With or without the neighbours.
        duration_s: From release to exit of the victim.
        samples: The metrics, the primary first; empty when void.
        victim: The victim cgroup's window, with everything below it.
        others_run_ns: On-CPU time of every other cgroup.
        window: The whole host's window.
        void: Why the trial does not count, or None.
    """

    index: int
    block: int
    arm: Arm
    duration_s: float
    samples: tuple[Sample, ...]
    victim: CgroupWindow
    others_run_ns: Mapping[str, int]
    window: SchedWindow
    void: str | None


class VictimFailedError(JostleError):
    """The victim did not do its work: it exited with an error, or ran too long."""


class VictimTimeoutError(VictimFailedError):
    """The victim exceeded the time limit."""


@dataclass(slots=True)
class _Commands:
    """What runs in a trial."""

    victim: Command | None = None
    neighbours: list[Command] = field(default_factory=list)

    def all(self) -> list[Command]:
        return [*([self.victim] if self.victim else []), *self.neighbours]


class TrialRunner:
    """Runs trials in the cgroups of one workspace, which it makes."""

    def __init__(
        self, plan: Plan, source: Source, workspace: Workspace, raw: Path, interrupts: Interrupts
    ) -> None:
        self._plan = plan
        self._source = source
        self._raw = raw
        self._interrupts = interrupts
        self.victim = workspace.make("victim")
        self.neighbours = {
            workspace.make(f"neighbour-{number}"): command
            for number, command in enumerate(plan.neighbours, 1)
        }

    def names(self) -> dict[str, str]:
        """Display name of each neighbour's cgroup path, by the contract's rule."""
        return {
            group.path: neighbour_name(number, command)
            for number, (group, command) in enumerate(self.neighbours.items(), 1)
        }

    def run(self, index: int, block: int, arm: Arm) -> TrialResult:
        """Run one trial; whatever happens, nothing of it keeps running.

        Raises:
            VictimFailedError: It exited with an error.
            VictimTimeoutError: It exceeded the time limit.
            MetricError: Its output does not hold the metric.
            Interrupted: There was a signal.
        """
        stem = f"trial-{index:03d}-{arm}"
        commands = _Commands()
        try:
            window, duration_s, dead = self._measure(stem, arm, commands)
        finally:
            self._stop(commands)
        void = self._obituary(commands.neighbours.index(dead) + 1, dead, stem) if dead else None
        if void is None and commands.victim:
            self._require_success(commands.victim, stem)
        return TrialResult(
            index=index,
            block=block,
            arm=arm,
            duration_s=duration_s,
            samples=() if void else self._samples(stem, duration_s),
            victim=sched.subtree(window.cgroups, self.victim.path),
            others_run_ns=self._others_run_ns(window),
            window=window,
            void=void,
        )

    def _measure(self, stem: str, arm: Arm, commands: _Commands) -> tuple[SchedWindow, float, Command | None]:
        """From release to exit of the victim: the window, its length in s, and a neighbour that did not last."""
        before, start_s = self._source.read(), monotonic()
        if arm is Arm.WITH:
            self._start_neighbours(stem, commands)
        over = self._wait(commands, SETTLE_S) if commands.neighbours else None
        if over is None:
            commands.victim = self._start_victim(stem)
            before = self._source.read()
            start_s = commands.victim.release()
            over = self._wait(commands, self._plan.timeout_s)
        duration_s = monotonic() - start_s
        window = sched.window(before, self._source.read())
        if over is None:
            raise VictimTimeoutError(
                f"the victim {self._plan.victim!r} did not end within {self._plan.timeout_s:g} s",
                "give it less work, or raise --timeout",
            )
        return window, duration_s, next(filter(Command.is_over, commands.neighbours), None)

    def _wait(self, commands: _Commands, timeout_s: float) -> Command | None:
        """The victim when it ends, or a neighbour that runs no more; None after `timeout_s`.

        Without eBPF a task's times are gone when it exits, so they are read again and again until then.
        """
        deadline_s = monotonic() + timeout_s
        watched = commands.all()
        patience_s = timeout_s if self._plan.tier == "ebpf" else _POLL_S
        while True:
            left_s = deadline_s - monotonic()
            ended = wait_for_first(watched, min(patience_s, left_s), self._interrupts)
            if ended is None and left_s > 0:
                self._source.read()
            elif ended is None or ended is commands.victim or ended.is_over():
                return ended
            else:
                watched.remove(ended)  # it runs on in the background

    def _start_victim(self, stem: str) -> Command:
        return start(self._plan.victim, self.victim, self._plan.cpus, self._out(stem), self._err(stem))

    def _start_neighbours(self, stem: str, commands: _Commands) -> None:
        for number, (group, text) in enumerate(self.neighbours.items(), 1):
            name = _neighbour_stem(stem, number)
            commands.neighbours.append(start(text, group, self._plan.cpus, self._out(name), self._err(name)))
        for command in commands.neighbours:
            command.release()

    def _stop(self, commands: _Commands) -> None:
        self.victim.stop()
        for group in self.neighbours:
            group.stop(_NEIGHBOUR_GRACE_S)
        for command in commands.all():
            command.close()

    def _require_success(self, victim: Command, stem: str) -> None:
        if victim.popen.returncode != 0:
            raise VictimFailedError(f"the victim {victim.text!r} {victim.ending()}", f"see {self._err(stem)}")

    def _obituary(self, number: int, neighbour: Command, stem: str) -> str:
        errors = self._err(_neighbour_stem(stem, number))
        return (
            f"{neighbour_name(number, neighbour.text)} {neighbour.ending()} before the victim (see {errors})"
        )

    def _samples(self, stem: str, duration_s: float) -> tuple[Sample, ...]:
        output = (end_of(self._out(stem)), end_of(self._err(stem)))
        return tuple(
            sample for spec in self._plan.metrics for sample in read_samples(spec, duration_s, *output)
        )

    def _others_run_ns(self, window: SchedWindow) -> dict[str, int]:
        inside = self.victim.path
        return {
            path: cgroup.run_ns
            for path, cgroup in window.cgroups.items()
            if not sched.is_within(path, inside)
        }

    def _out(self, stem: str) -> Path:
        return self._raw / f"{stem}.stdout"

    def _err(self, stem: str) -> Path:
        return self._raw / f"{stem}.stderr"


def read_samples(spec: MetricSpec, duration_s: float, stdout: str, stderr: str) -> list[Sample]:
    """A metric's samples, the duration's from the runner's own clock."""
    return [Sample(DURATION, duration_s)] if spec.reader is None else read_metrics(spec, stdout, stderr)


def end_of(path: Path, limit: int = OUTPUT_LIMIT) -> str:
    """The text of a file; of one longer than `limit` bytes the last whole lines within them."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read(limit)
    whole = data if size <= limit else data.partition(b"\n")[2]
    return whole.decode("utf-8", errors="replace")


def _neighbour_stem(stem: str, number: int) -> str:
    return f"{stem}-neighbour-{number}"
