"""The command line: parses, calls, prints. The one place that may import `reports`.

Every command is a module here; heavy imports (statistics, charts) happen inside the command that needs them, so
that `jostle record` stays small. It must not compute: what it prints was made by another room.
"""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """See `agent.cli.app.main`, which brings the parser: 13 MB that the daemon's own process does without."""
    from agent.cli.app import main as parse_and_run

    parse_and_run(arguments)
