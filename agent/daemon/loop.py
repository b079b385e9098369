"""The daemon's loop: a window, to everything that wants it, until a signal."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.daemon.config import Config, load
from agent.daemon.service import Service
from agent.daemon.settings import fixed_differences
from agent.daemon.signals import Signals
from agent.daemon.sinks import Health, Observation
from agent.daemon.workers import Workers
from agent.recording import recorder
from agent.recording.budget import Governor
from agent.recording.flight import LEAST_S, FlightRecorder
from agent.recording.recorder import Complete
from agent.recording.self_usage import SelfWatch, descriptors, rss_bytes
from agent.store.run_file import end_utc_ns
from collectors.windows.sched import SchedWindow, matching
from probes.errors import HostChangedError, JostleError, UsageError
from probes.snapshot import Snapshot


@dataclass(slots=True)
class Loop:
    """Reads the probe, and hands on what it read; `run` returns after SIGTERM or SIGINT."""

    config: Config
    config_path: Path | None
    governor: Governor
    workers: Workers
    service: Service
    signals: Signals
    complete: Complete
    flight: FlightRecorder | None = None
    dump: Callable[[], None] = lambda: None
    _watch: SelfWatch = field(default_factory=SelfWatch)
    _windows: int = 0
    _lost: int = 0
    _failing: bool = False

    def run(self) -> None:
        """Windows until the end. A reading that fails costs one window, and the next is tried."""
        self.service.ready()
        while not self.signals.ending:
            try:
                self._windows_until_changed()
            except HostChangedError:
                raise  # whoever supervises it starts it again
            except (OSError, JostleError) as error:
                self._lost += 1
                if not self._failing:
                    self.service.warn(f"cannot read the probe, windows are lost until it can be: {error}")
                self._failing = True
                self._wait(self.config.agent.window_s)
        self.service.stopping()

    def _windows_until_changed(self) -> None:
        """Windows of one length, until a signal; the last may be short."""
        length_s = self.config.agent.window_s

        def over(seconds: float) -> bool:
            self._wait(seconds, self.flight)
            return self.signals.ending or self.config.agent.window_s != length_s

        for window in recorder.windows(self.governor, length_s, None, over, complete=self._kept):
            if self._failing:
                self._failing = False
                self.service.inform(f"the probe can be read again; {self._lost} windows were lost so far")
            self._hand_on(window)

    def _hand_on(self, window: SchedWindow) -> None:
        self._windows += 1
        self.workers.submit(Observation(self._windows, end_utc_ns(window), window, self._health()))

    def _kept(self, window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        """The cgroups that are asked for, with what else is known of them."""
        return self.complete(matching(window, self.config.agent.cgroups), before, after)

    def _wait(self, seconds: float, flight: FlightRecorder | None = None) -> None:
        """Until that time, an ending signal, or windows of another length; says that it is alive meanwhile.

        With a flight recorder each second is read that ends before.

        Raises:
            OSError, JostleError: One cannot be.
        """
        deadline_s, length_s = time.monotonic() + seconds, self.config.agent.window_s
        while not self.signals.ending and self.config.agent.window_s == length_s:
            self.service.alive()
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            until_second_s = _until_second(flight, left_s)
            if flight and until_second_s <= 0:
                flight.tick()
                continue
            self.signals.wait(min(left_s, self.service.alive_every_s, until_second_s))
            if self.signals.dump_wanted:
                self.signals.dump_wanted = False
                self.dump()
            if self.signals.reload_wanted:
                self.signals.reload_wanted = False
                self._reload()

    def _reload(self) -> None:
        """Take the new configuration over whole, or keep the old one and say why."""
        self.service.reloading()
        try:
            config = reloaded(self.config, self.config_path)
        except JostleError as error:
            self.service.warn(f"the configuration stays as it was: {error}")
        else:
            self.config = config
            self.governor.budget_pct = config.agent.budget_pct
            self.workers.reload(config)
            self.service.inform("the configuration was read again")
        self.service.ready()

    def _health(self) -> Health:
        return Health(
            uptime_s=self._watch.uptime_s,
            cpu_pct=self._watch.cpu_pct(),
            rss_bytes=rss_bytes(),
            descriptors=descriptors(),
            windows=self._windows,
            lost_windows=self._lost,
            probe=self.governor.cost,
            warnings=tuple(self.governor.warnings),
            sinks=self.workers.health(),
        )


def _until_second(flight: FlightRecorder | None, left_s: float) -> float:
    """How long until the next second is to be read; beyond the time that is left where there is none."""
    if flight is None:
        return left_s
    next_s = flight.next_s() - time.monotonic()
    return next_s if left_s - max(0.0, next_s) > LEAST_S else left_s


def reloaded(old: Config, path: Path | None) -> Config:
    """The configuration as it is in the file now.

    Raises:
        UsageError: As `config.load`, or it changes what cannot change while the agent runs.
    """
    new = load(path)
    fixed = ", ".join(fixed_differences(old, new))
    if fixed:
        raise UsageError(f"{fixed} cannot change while the agent runs", "restart it")
    return new
