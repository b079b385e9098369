"""How much is not known: cgroups without a slot, figures that cannot be, waits shared out by sample."""

from collections.abc import Sequence

from collectors.windows.sched import OTHER, SchedWindow, totals


def warnings(windows: Sequence[SchedWindow]) -> tuple[str, ...]:
    """Which cgroups are not told of, and how much of what was measured that hides; empty where all are."""
    impossible = sum(window.impossible for window in windows)
    told = f"{impossible} figures were more than tasks times the time can be, and are left out"
    return (*_in_other(windows), told) if impossible else _in_other(windows)


def _in_other(windows: Sequence[SchedWindow]) -> tuple[str, ...]:
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
