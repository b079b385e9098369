"""What the agent tells whoever started it: systemd, or a person at a terminal."""

from collections.abc import Callable
from typing import Protocol

# Without a watchdog the loop still looks around this often; it costs a few microseconds.
LOOK_AROUND_S = 60.0


class Service(Protocol):
    """The other side of the agent's life; any thread may call."""

    @property
    def alive_every_s(self) -> float:
        """`alive` is to be called this often, or the agent counts as stuck."""

    def inform(self, text: str) -> None:
        """Say one line about what is as it should be."""

    def warn(self, text: str) -> None:
        """Say one line about what somebody should look at."""

    def ready(self) -> None:
        """The probes are attached: windows come from now on."""

    def alive(self) -> None:
        """Say that the agent is not stuck; called at least every `alive_every_s` seconds."""

    def reloading(self) -> None:
        """A new configuration is being read; `ready` follows."""

    def stopping(self) -> None:
        """Say that the agent has begun to end."""


class Unsupervised:
    """Nobody supervises: everything is a line for a person."""

    alive_every_s = LOOK_AROUND_S

    def __init__(self, say: Callable[[str], None]) -> None:
        self.inform = say
        self.warn = say

    def ready(self) -> None:
        """Do nothing: the first window shows it."""

    def alive(self) -> None:
        """Do nothing: a person sees whether the agent runs."""

    def reloading(self) -> None:
        """Do nothing: the outcome of a reload is said by `inform` or `warn`."""

    def stopping(self) -> None:
        """Do nothing: the shell's prompt shows it."""
