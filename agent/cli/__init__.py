"""The command line: parses, calls, prints. The one place that may import `reports`.

Every command is a module here; heavy imports (statistics, charts) happen inside the command that needs them, so
that `jostle record` stays small.
"""

from agent.cli.app import main

__all__ = ["main"]
