"""Where readings come from: the scheduler probe and the tiers below it, kernel files, counters; and what is available.

Imports from `probes`, `collectors.host` and `collectors.windows`. What cannot be read is a `Missing` with its reason,
never 0. It must not judge or compare.
"""
