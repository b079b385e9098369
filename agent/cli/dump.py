"""`jostle dump`: the agent's last 15 minutes by the second, into its history."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import typer

from agent.cli.history import HistoryFile
from agent.cli.output import say
from agent.documents.times import moment
from agent.store.flights import flight_span_ns
from agent.store.history import holder
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.query import DEFAULT_HISTORY
from agent.store.windows import ends_utc_ns, facts
from probes.errors import HostError, JostleError, UsageError

EPILOG = "Example: jostle dump, then jostle report --history --since 5m --seconds"
# Writing takes less than a second; a history on a slow disk may be busy with a window.
_WITHIN_S, _LOOK_EVERY_S = 10.0, 0.1
# The second that goes on when it is asked for is in the next dump.
_LATEST_NS = 3 * 10**9
_NS = 10**9


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dump", epilog=EPILOG)(dump)


def dump(history_file: HistoryFile = None) -> None:
    """The agent's last 15 minutes, by the second. They are written into its history.

    It keeps them with agent.flight_recorder_mib, and writes those around an incident by itself. As SIGUSR1 to it.
    """
    path = history_file or DEFAULT_HISTORY
    if not path.is_file():
        raise UsageError(f"there is no history {path}", "is `jostle agent` running? else give --history-file")
    agent = holder(path)
    if agent is None:
        raise JostleError(f"no agent is writing to {path}", "start it: systemctl start jostle")
    try:
        begin_ns, end_ns = _dumped(path, agent)
    except DAMAGE as error:
        raise UsageError(
            f"{path} is not a history, or damaged ({error})", "give the agent's history.path"
        ) from error
    since, until = moment(begin_ns // _NS), moment(-(-end_ns // _NS))
    file = "" if history_file is None else f" --history-file {path}"
    say(f"Written: {since} to {until} by the second, into {path}")
    say(f"To see it: jostle report --history{file} --since {since} --until {until} --seconds")


def _dumped(path: Path, agent: int) -> tuple[int, int]:
    """Let the agent write, and wait for it: begin and end of the seconds up to now, in ns since the epoch."""
    with closing(open_to_read(path)) as db:
        lives = ends_utc_ns(db)
        if lives and facts(db, [max(lives)]).get("flight_recorder_mib", "0") == "0":
            raise JostleError(
                "the agent keeps no seconds", "set agent.flight_recorder_mib = 8 and restart it"
            )
        asked_ns = time.time_ns()
        _ask(agent)
        until_s = time.monotonic() + _WITHIN_S
        while time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
            span = flight_span_ns(db)
            if span is not None and span[1] > asked_ns - _LATEST_NS:
                return span
    raise JostleError(f"the agent wrote nothing within {_WITHIN_S:.0f} s", "see `journalctl -u jostle`")


def _ask(agent: int) -> None:
    try:
        os.kill(agent, signal.SIGUSR1)
    except PermissionError as error:
        raise HostError(f"process {agent}, the agent, may not be asked", "run it as root") from error
    except ProcessLookupError as error:
        raise JostleError("the agent has just ended", "start it: systemctl start jostle") from error
