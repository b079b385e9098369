"""How often is the verdict right? Known neighbours beside known victims, on this host.

scenarios.py   what is run, and what is true of it by construction
run.py         each through the code path of `jostle experiment`, in random order
score.py       findings against labels: rates with exact intervals
bystander.py   a process outside every experiment, beside which they run
workloads/     the built-in victims and neighbours, for the demo as well

Imports `agent.experiment`, whose public way it takes like any user; the document is `agent.documents.selftest`.
It must not judge: labels follow from how a scenario is built.
"""
