"""The differential runner: the same victim with and without its neighbours, in randomised blocks.

    plan.py            what was asked for, checked before anything starts
    treatment.py, neighbours.py   what runs beside the victim in one trial
    victim.py, victim_metrics/    what is read of the victim after it
    machine.py         what can happen to the machine meanwhile
    trial.py           one run of the victim under one treatment, measured
    repeat.py          a trial until it counts
    runner.py          warm-up, blocks, when to stop
    rounds.py, confirm.py, sweep.py   what may follow: each suspect stopped alone, the neighbours at several levels
    session.py         probe, cgroups and janitor around all of these
    conclude.py        all of it as a verdict document

Imports `agent.sandbox`, which starts and stops, `agent.recording`, which measures, and `agent.analysis`, which says
what it means. It must not print: progress goes to an observer, results are returned.
"""
