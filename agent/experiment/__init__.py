"""The differential runner: the same victim with and without its neighbours, in randomised blocks.

    plan.py            what was asked for, checked before anything starts
    preregistration.py the same as written down before the first trial that counts
    design.py          the treatments, and the order of rounds of them
    neighbours.py      what runs beside the victim in one trial
    around.py          the commands before and after each trial
    victim_metrics/    what is read of the victim's output
    trial.py           one run of the victim under one treatment, measured
    outputs.py, last_match.py   what its commands print, and a pattern that is looked for in it
    switchback.py      instead of trials: cgroups that run already, treated in slots of a tenth of a second
    prober.py          asks a victim that runs on at fixed moments, in a process of its own
    runner.py          a trial until it counts; warm-up, blocks and when to stop; rounds
    follow_ups.py      what may follow: each suspect stopped alone, the neighbours at several levels
    session.py         probe, cgroups and janitor around all of these
    evidence.py, conclude.py   all of it as a verdict document

Imports `agent.sandbox`, which starts and stops, `agent.recording`, which measures, and `agent.analysis`, which says
what it means. It must not print: progress goes to an observer, results are returned.
"""
