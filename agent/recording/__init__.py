"""The loop that records windows, and what recording costs: the budget, the probe's and the process's own use.

Imports `agent.documents`. It must not store, judge or print: it hands windows out.
"""
