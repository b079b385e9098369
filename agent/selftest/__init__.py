"""How often are the verdict and the agent's incidents right? Known neighbours beside known victims, on this host.

scenarios.py       what is run, and what is true of it by construction
run.py             each through the code path of `jostle experiment`, in random order
score.py           findings against labels: rates with exact intervals
bystander.py       a process outside every experiment, beside which they run
episodes.py        what runs as usual and what changes then, for detection, with what is to be told
episode_run.py     each beside the probe, in random order
episode_events.py  what `agent.detection` tells of it, after a day as usual
episode_score.py   that against labels: rates, and how soon
workloads/         the built-in victims and neighbours, for the demo as well

Imports `agent.experiment` and `agent.detection`, whose public ways it takes like any user; the documents are
`agent.documents.selftest` and `selftest_detection`.
It must not judge: labels follow from how a scenario is built.
"""
