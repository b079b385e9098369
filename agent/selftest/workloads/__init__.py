"""The built-in victims and neighbours, for the demo and the self-test: known causes with known effects.

    victim.py      work that is always the same
    neighbour.py   what takes CPU time in one way or another
    service.py     work on request, and the client that asks for it
    limited.py     a command whose cgroup gets a limit first
    disk.py, memory.py   reads and writes that reach a disk, files read through the page cache
    processes.py, arguments.py   what these share

All are ordinary programs, started as any other command (`python -m agent.selftest.workloads.victim`). Victim and
neighbours use the standard library alone and import little, because their start-up is part of a trial's duration. Their
processes die with the one that was started, however it ends.
"""
