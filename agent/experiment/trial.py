"""One trial: the victim runs once, or is watched, with the neighbours or without them, and is measured from outside."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from agent.analysis.observation import (
    TrialResult,
    VictimObservation,
    VictimSignals,
    busiest_cpu,
    bystanders_ns,
    disk_of,
    displaced_ratio,
    fold_subtrees,
    is_idle,
    memory_of,
    network_of,
    others_run_ns,
    stretch,
    victim_signals,
)
from agent.documents.metric import DURATION, STRETCH, Sample
from agent.experiment.around import AroundTrial
from agent.experiment.design import Treatment
from agent.experiment.neighbours import Neighbours
from agent.experiment.outputs import Outputs, bound, end_of
from agent.experiment.plan import Plan
from agent.experiment.victim_metrics import MetricSpec, read_metrics, require_one_unit
from agent.sandbox.cgroups import Group
from agent.sandbox.commands import Command, is_server, start, wait_for_first
from agent.sandbox.existing import ExistingCgroup
from agent.sandbox.interrupts import Interrupts
from agent.sandbox.leases import RENEW_S
from agent.sandbox.strays import Strays
from collectors.host.hierarchy import CgroupLayout, is_within, lineage
from collectors.host.readings import Missing, read_text
from collectors.sources.asleep import Asleep, SleepWatch
from collectors.sources.signal_reader import SignalReader, signals_within
from collectors.sources.tiers import Source
from collectors.windows import counters, sched
from collectors.windows.figures import add_counts
from collectors.windows.sched import NS_PER_MS, NS_PER_S, CgroupWindow, SchedWindow
from collectors.windows.signals import SignalWindow
from probes.errors import JostleError
from probes.perf_event import Reading
from probes.snapshot import Snapshot

# How long the neighbours run before the victim starts: a fork bomb of workers is up by then, and one that dies
# at once is found out before the victim has run for nothing.
SETTLE_S = 0.3
# At the end of a trial at most this much of the victim's time is missing, in the tier without eBPF.
_POLL_S = 0.05
# How late the end of a victim is seen whose command returned before its work was done.
_EMPTY_S = 0.002
# And of one that left a server, which takes longer to find out (0.3 ms for one process, and more for each).
_SERVER_S = 0.05
_ONLINE = "sys/devices/system/cpu/online"
# Far above what reading three clocks takes, and what NTP may slew in a trial of a minute (500 ppm: 30 ms).
_STEP_S = 0.1


class VictimFailedError(JostleError):
    """The victim did not do its work: it exited with an error, or ran too long."""


class VictimTimeoutError(VictimFailedError):
    """The victim exceeded the time limit."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was measured, and the victim's command, ended; None when it is watched or was not started."""

    window: SchedWindow
    duration_s: float
    command: Command | None
    signals: SignalWindow | None = None
    counted: Mapping[str, Reading] = field(default_factory=dict)
    asleep_s: Mapping[Asleep, float] = field(default_factory=dict)
    stalled_tasks: float = 0.0


@dataclass(slots=True)
class _LeftBehind:
    """What a victim's command left in its cgroup as it returned: its work until it ends, or is a server by then."""

    command: Command
    returned_s: float
    _look_s: float = 0.0

    def is_done(self) -> bool:
        pids = self.command.group.pids()
        if not pids:
            return True
        if monotonic() < self._look_s:
            return False
        self._look_s = monotonic() + _SERVER_S
        return is_server(pids)


class TrialRunner:
    """Runs trials beside the neighbours of an experiment; the victim is a command or a cgroup that is watched."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        signals: SignalReader,
        victim: Group | ExistingCgroup,
        neighbours: Neighbours,
        *,
        around: AroundTrial,
        layout: CgroupLayout,
        strays: Strays,
        outputs: Outputs,
        interrupts: Interrupts,
    ) -> None:
        self._plan = plan
        self._source = source
        self._signals = signals
        self._victim = victim
        self._neighbours = neighbours
        self._around = around
        self._outputs = outputs
        self._layout = layout
        self._strays = strays
        self._interrupts = interrupts
        self._went_on_s = 0.0
        self._allowed: set[int] | None = None
        self._units: dict[str, str] = {}

    def run(self, index: int, block: int, treatment: Treatment) -> TrialResult:
        """Run one trial; whatever happens, nothing of it keeps running, and nothing stays frozen or capped.

        Raises:
            VictimFailedError: It exited with an error.
            VictimTimeoutError: It exceeded the time limit.
            MetricError: Its output does not hold the metric.
            TrialVoidedError: A command around the trial says that it is not to count.
            DidNotFreezeError: A cgroup runs on that was to stand still.
            JostleError: The cgroup that is watched, or a neighbour, is gone.
            UsageError: A metric comes in another unit than in the first trial, or its pattern takes too long.
            Interrupted: There was a signal.
        """
        # The warm-ups all have the index 0.
        stem = f"trial-{index:03d}-{treatment.stem}{f'-{block}' if block and not index else ''}"
        try:
            with self._strays.trial(), self._around.trial(stem):
                return self._run(index, block, treatment, stem)
        finally:
            for path in self._outputs.of(stem):
                bound(path)

    def _run(self, index: int, block: int, treatment: Treatment, stem: str) -> TrialResult:
        before = machine_state()
        with self._neighbours.beside(treatment, stem) as commands:
            measured = self._measure(stem, commands)
            void = self._strays.found() or self._neighbours.misbehaved(treatment, commands, stem)
        names = self._neighbours.names()
        victim = fold_subtrees(sched.subtree(measured.window.cgroups, self._victim.path), names)
        run_ns = others_run_ns(measured.window.cgroups, self._victim.path, list(names))
        void = (
            void
            or before.event_until(machine_state())
            or self._neighbours.ran_on(treatment, run_ns, measured.duration_s)
            or self._idle(victim, measured.duration_s)
        )
        if void is None:
            self._require_success(measured.command, stem)
        seen = VictimObservation(
            duration_s=measured.duration_s,
            samples=() if void else self._samples(stem, measured.duration_s, victim),
            victim=victim,
            others_run_ns=run_ns,
            busiest_cpu=busiest_cpu([measured.window]),
            signals=self._victim_signals(measured.signals, names),
            counted=measured.counted,
            asleep_s=measured.asleep_s,
            stalled_tasks=measured.stalled_tasks,
            displaced_ratio=displaced_ratio(measured.window, victim.run_ns, self._allowed or ()),
            disk=disk_of([measured.window], self._victim.path, list(names)),
            network=network_of([measured.window], self._victim.path, list(names)),
            memory=memory_of([measured.window], self._victim.path, list(names)),
            went_on_s=self._went_on_s,
            # The tiers below eBPF do not know for whom.
            bystanders_ns=bystanders_ns(victim, names) if self._plan.tier == "ebpf" else None,
        )
        return TrialResult(index, block, treatment.arm, seen, measured.window, void)

    def _measure(self, stem: str, commands: list[Command]) -> _Measured:
        """The victim from its release to its end, or for as long as it is watched, unless a neighbour ends first."""
        self._allowed = None
        before, start_s = self._source.read(), monotonic()
        # In both arms: what the neighbours leave behind has as long to go.
        if self._wait(commands, SETTLE_S) is not None:
            return _Measured(sched.window(before, self._source.read()), monotonic() - start_s, None)
        with self._victim_started(stem) as command:
            signals = self._signals.read(self._paths())
            before = self._source.read()
            start_s = command.release() if command else monotonic()
            watch = SleepWatch(self._victim.pids, self._layout) if command else None
            over = self._wait(
                commands, self._plan.timeout_s if command else self._plan.trial_s, command, watch
            )
            duration_s = monotonic() - start_s
            after = self._source.read()
            late = command.left() if over is None and command else ""
            window = sched.window(before, after)
            signalled = signals_within(signals, self._signals.read(self._paths()))
        if over is None and command:
            raise VictimTimeoutError(
                f"the victim {command.text!r} did not end within {self._plan.timeout_s:g} s: {late} went on",
                "give it less work, let it end what it starts, or raise --timeout",
            )
        return _Measured(
            window,
            duration_s,
            command,
            signalled,
            self._counted(before, after),
            watch.seconds(duration_s) if watch else {},
            watch.stalled_tasks(duration_s) if watch else 0.0,
        )

    def _counted(self, before: Snapshot, after: Snapshot) -> dict[str, Reading]:
        """Of the victim with everything below it."""
        grown = counters.grown(before, after)
        return add_counts(each for path, each in grown.items() if is_within(path, self._victim.path))

    def _paths(self) -> list[str]:
        return [*lineage(self._victim.path)[:-1], *self._neighbours.names()]

    def _wait(
        self,
        neighbours: Sequence[Command],
        timeout_s: float,
        victim: Command | None = None,
        watch: SleepWatch | None = None,
    ) -> Command | None:
        """The victim when it has ended, or a neighbour that runs no more; None after `timeout_s`.

        A victim has ended when all in its cgroup has: what its command left is its work, gone to the background. Not
        so a server that it needed (`redis-server & redis-benchmark`), which waits for others and does not end; one
        that is not up yet when the command returns is work until it is.

        Without eBPF a task's times are gone when it exits, so they are read again and again until then.
        """
        deadline_s = monotonic() + timeout_s
        watched = [*([victim] if victim else []), *neighbours]
        patience_s = timeout_s if self._plan.tier == "ebpf" else _POLL_S
        behind: _LeftBehind | None = None
        self._went_on_s = 0.0
        while True:
            left_s = deadline_s - monotonic()
            if behind and behind.is_done():
                self._went_on_s = monotonic() - behind.returned_s
                return behind.command
            self._neighbours.renew()
            pause_s = min(
                *(patience_s, RENEW_S),
                watch.pause_s() if watch else timeout_s,
                _EMPTY_S if behind else timeout_s,
            )
            ended = wait_for_first(watched, min(pause_s, left_s), self._interrupts)
            if ended is None and pause_s < left_s:
                self._look(watch)
            elif ended is not None and ended is victim and ended.goes_on():
                behind = _LeftBehind(ended, monotonic())
                if behind.is_done():
                    return ended
                watched.remove(ended)
            elif ended is None or ended is victim or ended.is_over():
                return ended
            else:
                watched.remove(ended)  # it runs on in the background

    def _look(self, watch: SleepWatch | None) -> None:
        if self._plan.tier != "ebpf":
            self._source.read()
        self._strays.look()
        self._allowed = cpus_of_all(self._victim.pids(), self._allowed)
        if watch and not watch.pause_s():
            watch.look()

    @contextlib.contextmanager
    def _victim_started(self, stem: str) -> Iterator[Command | None]:
        """The victim's command, held at the gate, and stopped afterwards; None where a cgroup is watched."""
        if isinstance(self._victim, ExistingCgroup):
            self._victim.require()
            yield None
            self._victim.require()
            return
        out, err = self._outputs.out(stem), self._outputs.err(stem)
        command = start(self._plan.victim_text, self._victim, self._plan.cpus, out, err)
        try:
            yield command
        finally:
            self._victim.stop()
            command.close()

    def _require_success(self, command: Command | None, stem: str) -> None:
        if command and command.popen.returncode != 0:
            raise VictimFailedError(
                f"the victim {command.text!r} {command.ending()}", f"see {self._outputs.err(stem)}"
            )

    def _samples(self, stem: str, duration_s: float, victim: CgroupWindow) -> tuple[Sample, ...]:
        files = (self._outputs.out(stem), self._outputs.err(stem)) if isinstance(self._victim, Group) else ()
        samples = samples_of(self._plan.metrics, duration_s, victim, files)
        require_one_unit(self._units, samples)
        return samples

    def _victim_signals(self, read: SignalWindow | None, neighbours: Mapping[str, str]) -> VictimSignals:
        if read is None:
            return VictimSignals()
        return victim_signals(read, self._victim.path, neighbours, frequency=self._signals.counts_frequency)

    def _idle(self, victim: CgroupWindow, duration_s: float) -> str | None:
        """Why a cgroup that hardly ran while it was watched says nothing; None when it ran enough."""
        if isinstance(self._victim, Group) or not is_idle(victim, duration_s):
            return None
        run_ms = victim.run_ns / NS_PER_MS
        return f"the victim {self._victim.called} ran for {run_ms:.0f} ms in {duration_s:.1f} s: give it load"


def samples_of(
    specs: Sequence[MetricSpec], duration_s: float, victim: CgroupWindow, output: Sequence[Path]
) -> tuple[Sample, ...]:
    """The metrics of one trial, the primary first; `output` is what the victim wrote, nothing when it is watched.

    Raises:
        MetricError: The output does not hold one of them.
    """
    measured = {DURATION.name: Sample(DURATION, duration_s), STRETCH.name: Sample(STRETCH, stretch(victim))}
    texts = [end_of(path) for path in output]
    return tuple(
        sample
        for spec in specs
        for sample in (read_metrics(spec, *texts) if spec.reader else [measured[spec.text]])
    )


def cpus_of_all(pids: Iterable[int], known: set[int] | None) -> set[int] | None:
    """The CPUs that every process of these may use, and those looked at before; None: none was there yet."""
    for pid in pids:
        with contextlib.suppress(OSError):
            allowed = os.sched_getaffinity(pid)
            known = allowed if known is None else known & allowed
    return known


@dataclass(frozen=True, slots=True)
class MachineState:
    """The machine at one moment.

    Attributes:
        suspended_ns: How long it was suspended since boot (CLOCK_BOOTTIME goes on meanwhile, CLOCK_MONOTONIC not).
        wall_offset_ns: The wall clock less CLOCK_MONOTONIC: it changes when somebody sets the clock.
        cpus_online: The kernel's list.
    """

    suspended_ns: int
    wall_offset_ns: int
    cpus_online: str

    def event_until(self, later: "MachineState") -> str | None:
        """What happened between this state and a later one, in words; None: nothing that disturbs a trial."""
        suspended_s = (later.suspended_ns - self.suspended_ns) / NS_PER_S
        jump_s = (later.wall_offset_ns - self.wall_offset_ns) / NS_PER_S - suspended_s
        if suspended_s > _STEP_S:
            return f"the machine was suspended for {suspended_s:.1f} s"
        if later.cpus_online != self.cpus_online:
            return f"the CPUs online changed from {self.cpus_online} to {later.cpus_online}"
        if abs(jump_s) > _STEP_S:
            return f"the clock was set by {jump_s:+.1f} s"
        return None


def machine_state(root: Path = Path("/")) -> MachineState:
    """The state of the machine now: its clocks, and which CPUs are online below `root`."""
    monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    online = read_text(root / _ONLINE)
    return MachineState(
        suspended_ns=boot_ns - monotonic_ns,
        wall_offset_ns=wall_ns - monotonic_ns,
        cpus_online="" if isinstance(online, Missing) else online.strip(),
    )
