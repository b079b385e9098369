"""How much a recording does not know: cgroups for which the probe had no slot, waits shared out by sample."""

from collections.abc import Sequence

from collectors.windows.sched import OTHER, SchedWindow, totals


def warnings(windows: Sequence[SchedWindow]) -> tuple[str, ...]:
    """How many cgroups are in `other`, and how much of what was measured that hides; empty where all had a slot."""
    untracked = max((window.untracked for window in windows), default=0)
    if not untracked:
        return ()
    sentence = f"{untracked} cgroups found no slot and are counted together as 'other'"
    cgroups = totals(windows)
    other = cgroups.get(OTHER)
    if other is None:  # none of them ran, or only others were recorded
        return (sentence,)
    run_ns = sum(cgroup.run_ns for cgroup in cgroups.values())
    wait_ns = sum(cgroup.wait_ns for cgroup in cgroups.values())
    hidden = (
        f"{_pct(other.run_ns, run_ns):.1f} % of all time on a CPU and {_pct(other.wait_ns, wait_ns):.1f} %"
    )
    return (f"{sentence}, with {hidden} of all waiting",)


def sampled_pct(wait_ns: int | None, sampled_ns: int) -> float | None:
    """How much of a wait was shared out by sample, in per cent; None where there was no wait."""
    return 100 * sampled_ns / wait_ns if wait_ns else None


def _pct(part_ns: int, whole_ns: int) -> float:
    return 100 * part_ns / whole_ns if whole_ns else 0.0
