"""How often is the verdict right? Known neighbours beside known victims, on this host.

scenarios.py   what is run, and what is true of it by construction
run.py         each through the code path of `jostle experiment`, in random order
score.py       findings against labels: rates with exact intervals
records.py     the document, schema `jostle.selftest/1`
"""
