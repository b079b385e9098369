"""A window as the history keeps it: whom a cgroup waited for, the heaviest by name and the others as one."""

from dataclasses import replace

from collectors.windows.sched import REST, CgroupWindow, SchedWindow, WaitFor

# Of 300 cgroups on two CPUs each waits for some 20 others in 10 s: half as many bytes again, and of no use to
# whoever asks weeks later who it was.
MOST_BY_NAME = 8


def condensed(window: SchedWindow) -> SchedWindow:
    """The sums of one window, with at most MOST_BY_NAME aggressors by name for each cgroup."""
    return replace(window, cgroups={path: _condensed(cgroup) for path, cgroup in window.cgroups.items()})


def _condensed(cgroup: CgroupWindow) -> CgroupWindow:
    named = [item for item in cgroup.waited_for.items() if item[0] != REST]
    if len(named) <= MOST_BY_NAME:
        return cgroup
    named.sort(key=lambda item: -item[1].wait_ns)
    others = [wait for _, wait in named[MOST_BY_NAME:]]
    if REST in cgroup.waited_for:
        others.append(cgroup.waited_for[REST])
    rest = WaitFor(sum(wait.wait_ns for wait in others), sum(wait.preemptions for wait in others))
    return replace(cgroup, waited_for={**dict(named[:MOST_BY_NAME]), REST: rest})
