"""The differential runner: the same victim with and without its neighbours, in randomised blocks.

    plan.py            what was asked for, checked before anything starts
    trial_cgroups.py   cgroups of our own for victim and neighbours, emptied and removed again
    janitor.py         a process of its own that does the same when jostle is killed
    process.py         commands started inside such a cgroup
    trial.py           one run of the victim in one arm, measured
    runner.py          warm-up, blocks, void trials, when to stop
    decomposition.py   where the extra time went, and by whose doing
    conclude.py        all of it as a verdict document

It must not print: progress goes to an observer, results are returned.
"""
