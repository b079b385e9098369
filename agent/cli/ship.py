"""`jostle ship`: the agent's history into a fleet's dataset."""

import gc
import time
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.help import duration_option
from agent.cli.history import HistoryFile
from agent.cli.output import say, show
from agent.documents.fleet import Shipped
from agent.documents.strict_json import strict_json
from agent.store.files import write_whole
from agent.store.query import DEFAULT_HISTORY
from probes.errors import JostleError, UsageError

EPILOG = "Example: jostle ship s3://capacity/jostle --label pool=web"
DATASET_HELP = "A directory, s3://BUCKET/PREFIX, gs:// or az://."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ship", epilog=EPILOG)(ship)


def ship(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=DATASET_HELP)],
    history_file: HistoryFile = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of this host (default: as recorded).", show_default=False),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="To select hosts by (repeatable).")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also what there is of an hour that is not over: a host ends.")
    ] = False,
    every: Annotated[
        float | None,
        duration_option("--every", help_="Go on, and ship so often (1h): where nothing else starts it."),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For node_exporter: write what was done.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was shipped as JSON.")] = False,
) -> None:
    """Ship the history's hours to a fleet's dataset. Each once: it goes on where it ended."""
    from agent.fleet.place import place_of
    from agent.fleet.ship import NEVER_NS, textfile
    from agent.fleet.ship import ship as ship_history

    place, named, history = place_of(dataset), _labels(label or []), history_file or DEFAULT_HISTORY

    def once() -> None:
        shipped = ship_history(history, place, host, named, now_ns=NEVER_NS if partial else None)
        if metrics:
            write_whole(metrics, textfile(shipped))
        _say(shipped, as_json=as_json)

    gc.disable()  # of 100,000 records an hour none is in a cycle: 0.3 s of 2
    while every is not None:
        try:
            once()
        except JostleError as error:  # the store is away, or there is no history yet: it goes with the next
            say(str(error))
        gc.collect()
        time.sleep(every)
    once()


def _say(shipped: Shipped, *, as_json: bool) -> None:
    if as_json:
        show(f"{strict_json(shipped.to_document())}\n")
        return
    say(
        f"shipped {shipped.hours} hours ({shipped.windows} windows, {sum(shipped.rows.values())} rows, "
        f"{shipped.bytes / 1024:.0f} KiB); {shipped.unshipped_windows} windows wait for the end of their hour"
    )
    if shipped.lost_windows:
        say(f"{shipped.lost_windows} windows were gone from the history before they could be shipped")


def _labels(words: list[str]) -> dict[str, str]:
    pairs = {name: value for name, _, value in (word.partition("=") for word in words)}
    if not all(pairs.values()):
        raise UsageError("a label has a name and a value", "give --label NAME=VALUE")
    return pairs
