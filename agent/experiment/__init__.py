"""The differential runner: the same victim with and without its neighbours, in randomised blocks.

    plan.py            what was asked for, checked before anything starts
    existing.py        cgroups that were there before: which of them may be frozen
    trial_cgroups.py   cgroups of our own for victim and neighbours, emptied and removed again
    janitor.py         a process of its own that does the same, and thaws what was frozen, when jostle is killed
    freezer.py, quota.py   an existing cgroup stopped, a neighbour capped, for the time of a trial
    process.py         commands started inside a cgroup of our own
    setting.py, neighbours.py   what runs beside the victim in one trial
    victim.py          what is read of the victim after it
    machine.py         what can happen to the machine meanwhile
    trial.py           one run of the victim in one setting, measured
    repeat.py          a trial until it counts
    runner.py          warm-up, blocks, when to stop
    rounds.py, confirm.py, sweep.py   what may follow: each suspect stopped alone, the neighbours at several levels
    decomposition.py   where the extra time went, and by whose doing
    findings.py, conclude.py   all of it as a verdict document

It must not print: progress goes to an observer, results are returned.
"""
