"""Recording: one window after the other from the probe into a run file, until time is up or a command has ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import count

from agent.recording.budget import CHECK_EVERY, Governor
from agent.recording.self_cost import measure
from collectors.windows import sched
from collectors.windows.sched import SchedWindow
from probes.errors import UsageError
from probes.snapshot import Snapshot

# Ends the recording when it returns true; waits at most this many seconds itself.
EndedWithin = Callable[[float], bool]
# What makes a window, with the snapshots before and after it, complete.
Complete = Callable[[SchedWindow, Snapshot, Snapshot], SchedWindow]
# No window of less than this at the end, when the interval's sum misses the duration by a rounding error.
_SLIVER_S = 1e-3
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 0.05, 3600.0


def require_duration(duration_s: float) -> float:
    """The duration, in seconds.

    Raises:
        UsageError: Not above 0.
    """
    if not duration_s > 0:
        raise UsageError(f"-d {duration_s:g} leaves nothing to record", "give seconds above 0")
    return duration_s


def require_interval(interval_s: float) -> float:
    """The length of a window, in seconds.

    Raises:
        UsageError: Too short to mean anything, or too long to be meant.
    """
    if not SHORTEST_WINDOW_S <= interval_s <= LONGEST_WINDOW_S:
        raise UsageError(
            f"-i {interval_s:g} is not a length for a window",
            f"give {SHORTEST_WINDOW_S:g} to {LONGEST_WINDOW_S:g} seconds",
        )
    return interval_s


def windows(
    governor: Governor,
    interval_s: float,
    duration_s: float | None,
    ended: EndedWithin,
    begun: Callable[[], object] = lambda: None,
    *,
    complete: Complete = lambda window, before, after: window,  # noqa: ARG005  nothing to add
) -> Iterator[SchedWindow]:
    """Windows of `interval_s` until `duration_s` is over (None: no end) or `ended` says so; the last may be short.

    The schedule is kept by the clock, so a slow reading does not push the later ones back. The first window, and
    one in CHECK_EVERY after it, measures what the probe costs; the governor acts on it. `begun` is called once,
    when the first window has begun; `complete` makes of each window, and the snapshots around it, what is handed out.
    """
    probe = governor.probe
    before = probe.read()
    start_s = due_s = time.monotonic()
    begun()
    over = False
    for number in count():
        due_s = max(due_s + interval_s, time.monotonic())
        if duration_s is not None and due_s >= start_s + duration_s - _SLIVER_S:
            due_s, over = start_s + duration_s, True
        accounted = measure(probe) if number % CHECK_EVERY == 0 else nullcontext()
        with accounted as meter:
            over = ended(max(0.0, due_s - time.monotonic())) or over
            after = probe.read()
        window = sched.window(before, after)
        if meter is not None:
            governor.measured(meter, window)
        yield complete(window, before, after)
        if over:
            return
        # Its waits are in this window alone: 5 MB where 300 cgroups wait for one another, kept until the next.
        before = after = replace(after, waits={})
