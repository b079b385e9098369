"""Renders finished results: text, JSON, Markdown, HTML. No arithmetic beyond rounding and units.

Every text a tenant can choose (cgroup, process and container names, victim output) is escaped for the
place it goes to, by `reports.escape`.
"""
