"""What can happen to the machine in the middle of a trial, after which its figures mean nothing."""

import time
from dataclasses import dataclass
from pathlib import Path

from collectors.host.readings import Missing, read_text

_ONLINE = "sys/devices/system/cpu/online"
# Far above what reading three clocks takes, and what NTP may slew in a trial of a minute (500 ppm: 30 ms).
_STEP_S = 0.1
_NS_PER_S = 1e9


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
        suspended_s = (later.suspended_ns - self.suspended_ns) / _NS_PER_S
        jump_s = (later.wall_offset_ns - self.wall_offset_ns) / _NS_PER_S - suspended_s
        if suspended_s > _STEP_S:
            return f"the machine was suspended for {suspended_s:.1f} s"
        if later.cpus_online != self.cpus_online:
            return f"the CPUs online changed from {self.cpus_online} to {later.cpus_online}"
        if abs(jump_s) > _STEP_S:
            return f"the clock was set by {jump_s:+.1f} s"
        return None


def machine_state(root: Path = Path("/")) -> MachineState:
    """The state now."""
    monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    online = read_text(root / _ONLINE)
    return MachineState(
        suspended_ns=boot_ns - monotonic_ns,
        wall_offset_ns=wall_ns - monotonic_ns,
        cpus_online="" if isinstance(online, Missing) else online.strip(),
    )
