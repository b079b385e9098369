"""Records of what happened per cgroup between two readings, and their algebra: subtract, add, fold subtrees.

Imports from `probes` and `collectors.host`. Pure functions over frozen records: it must not open a file or a probe.
"""
