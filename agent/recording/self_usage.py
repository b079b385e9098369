"""What the agent itself costs: three reads of /proc per window."""

import os
import time
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SELF = Path("/proc/self")


class SelfWatch:
    """CPU time between two calls of `cpu_pct`, and sizes now."""

    def __init__(self) -> None:
        self._started_s = self._before_s = time.monotonic()
        self._used_before_s = time.process_time()

    @property
    def uptime_s(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._started_s

    def cpu_pct(self) -> float:
        """The CPU time of all threads since the last call, in per cent of one CPU."""
        now_s, used_s = time.monotonic(), time.process_time()
        spent_s, passed_s = used_s - self._used_before_s, now_s - self._before_s
        self._before_s, self._used_before_s = now_s, used_s
        return 100 * spent_s / max(passed_s, 1e-9)


def rss_bytes() -> int:
    """Resident memory, with what is shared (proc(5), statm)."""
    return int((_SELF / "statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def descriptors() -> int:
    """How many descriptors this process has open, without the one that counting takes."""
    return sum(1 for _ in (_SELF / "fd").iterdir()) - 1
