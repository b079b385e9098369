"""Renders finished results: text, JSON, Markdown, HTML. It must not do arithmetic beyond rounding and units.

Imports the records of `agent.documents` and `agent.analysis`, and the registry of figures in `collectors.windows`.

Every text a tenant can choose (cgroup, process and container names, victim output) is escaped for the
place it goes to, by `reports.escape`.
"""
