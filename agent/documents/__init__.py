"""Every document jostle writes, as frozen records, and how they become JSON and come back.

The first room of `agent`: all others may import it, and it imports only from `collectors` and `probes`. Records check
what the contract promises of them; they must not compute figures.
"""
