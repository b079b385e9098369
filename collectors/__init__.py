"""From raw numbers and kernel files to per-cgroup windows: what happened, without an opinion.

Each collector turns one source into plain frozen records, takes the root it reads from as a parameter, and
treats an unreadable or absurd file as missing for that window. It must not judge, compare runs or print. It
imports only from `probes`.
"""
