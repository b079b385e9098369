"""`jostle thaw`: what a jostle left frozen or capped that was killed with all its helpers, as it was before."""

import typer

from agent.cli import output
from agent.sandbox.leases import heal
from probes.errors import JostleError

EPILOG = "Example: jostle thaw"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("thaw", epilog=EPILOG)(thaw)


def thaw() -> None:
    """Put back what killed experiments left frozen or capped. Every experiment does so when it starts."""
    found = heal()
    for file in found.put_back:
        output.say(f"Put back: {file}")
    for process, files in found.living:
        output.say(
            f"Left alone: {', '.join(files)}, which process {process} holds; to end that: kill {process}"
        )
    if found.failed:
        raise JostleError("; ".join(found.failed))
    if not found.put_back and not found.living:
        output.say("Nothing was left frozen or capped.")
