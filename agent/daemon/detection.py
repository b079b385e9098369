"""The detector as a sink: every window goes in, events come out."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from agent.daemon.config import Config, DetectionConfig
from agent.daemon.sinks import Observation
from agent.detection.cooldown import Cooldown
from agent.detection.detector import Detector, Settings
from agent.detection.gates import FindQuota
from agent.detection.rules import Method, Rule
from agent.detection.series import Persistence
from agent.detection.stored_baseline import read_baseline
from agent.documents.event import Event


class Detection:
    """A sink that raises events."""

    name = "detection"

    def __init__(self, config: DetectionConfig, find_quota: FindQuota) -> None:
        """Read the stored baseline, if there is one.

        Raises:
            UsageError: It cannot be read.
        """
        baseline = read_baseline(Path(config.baseline)) if config.baseline else None
        self._detector = Detector(settings(config), baseline, find_quota)
        self._cooldown = Cooldown(config.cooldown_s)

    def on_window(self, observation: Observation) -> Sequence[Event]:
        """Judge one window and return the events that it raises or clears, as the cool-down tells them."""
        utc_ns = observation.end_utc_ns
        return list(self._cooldown.told(self._detector.step(observation.sched, utc_ns), utc_ns))

    def on_event(self, event: Event) -> None:
        """Do nothing: the only events are those that this sink raised itself."""

    def reload(self, config: Config) -> None:
        """Judge by the rules of this configuration from the next window on."""
        self._detector.change(settings(config.detection))
        self._cooldown.length_s = config.detection.cooldown_s

    def close(self) -> None:
        """Do nothing: detection holds no file or socket."""


def settings(config: DetectionConfig) -> Settings:
    """What a configuration says of detection."""
    rules = tuple(Rule(rule.signal, cast("Method", rule.method), rule.limit) for rule in config.rules)
    return Settings(rules, Persistence(config.windows, config.exceeded))
