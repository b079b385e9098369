"""The built-in victim and neighbour, for the demo and the self-test: known causes with known effects.

Both are ordinary programs, started like any other command as `python -m agent.workloads.victim` and
`python -m agent.workloads.neighbour`. They use the standard library alone and import little, because their
start-up is part of a trial's duration. Their processes die with the one that was started, however it ends.
"""
