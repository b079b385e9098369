"""`jostle record`: every cgroup, or those that match, into one run file."""

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agent import recorder
from agent.budget import DEFAULT_BUDGET_PCT, Governor, require_budget
from agent.cli.output import colour, say, show, width
from agent.experiment.janitor import Janitor
from agent.experiment.plan import require_runnable
from agent.experiment.process import Command, Output, start, wait_for_first
from agent.experiment.trial_cgroups import Workspace
from agent.files import raise_file_limit
from agent.host import describe_host
from agent.interrupts import Interrupted, Interrupts
from agent.runfile import Notes, RunWriter, pack, read_run
from agent.summarise import summarise
from collectors.counters import WANTED
from collectors.hierarchy import CgroupLayout, detect_layout
from collectors.sched import SchedWindow
from collectors.signal_gatherer import SignalGatherer
from collectors.source import Tier, open_source
from probes.loader import require_privilege
from probes.snapshot import Snapshot

_COMMAND_GRACE_S = 1.0
EPILOG = "Example: jostle record -d 60 -o before.run   or   jostle record -- make -j4"


@dataclass(frozen=True, slots=True)
class Options:
    """What `jostle record` was asked to do."""

    duration_s: float | None
    interval_s: float
    output: Path
    globs: tuple[str, ...]
    command: tuple[str, ...]
    command_output: Output
    budget_pct: float
    tier: Tier
    counters: bool

    def __post_init__(self) -> None:
        if self.duration_s is not None:
            recorder.require_duration(self.duration_s)
        recorder.require_interval(self.interval_s)
        require_budget(self.budget_pct)
        if self.command:
            require_runnable(shlex.join(self.command))

    @property
    def open_ended(self) -> bool:
        """Whether Ctrl-C is the planned end."""
        return self.duration_s is None and not self.command


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("record", epilog=EPILOG)(record)


def record(
    command: Annotated[
        list[str] | None, typer.Argument(help="Record for as long as this runs.", show_default=False)
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option("-d", "--duration", metavar="SECONDS", help="How long (default: until Ctrl-C)."),
    ] = None,
    interval: Annotated[
        float, typer.Option("-i", "--interval", metavar="SECONDS", help="Length of a window.")
    ] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The run file (default: jostle-TIME.run)."),
    ] = None,
    cgroup: Annotated[
        list[str] | None,
        typer.Option("--cgroup", metavar="GLOB", help="Only these cgroups (may be repeated)."),
    ] = None,
    tier: Annotated[
        Tier, typer.Option(help="schedstat needs no BPF, and tells sums only: no histograms, no blame.")
    ] = "ebpf",
    max_overhead: Annotated[
        float,
        typer.Option(metavar="PCT", help="Above this share of the host leave out blame, then histograms."),
    ] = DEFAULT_BUDGET_PCT,
    no_counters: Annotated[
        bool, typer.Option("--no-counters", help="Leave the hardware counters (IPC, misses) out.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
) -> None:
    """Record every cgroup (or those matching) into one run file; with a command, for as long as it runs."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    options = Options(
        duration_s=duration,
        interval_s=interval,
        output=output or Path(f"jostle-{stamp}.run"),
        globs=tuple(cgroup or ()),
        command=tuple(command or ()),
        command_output=2 if json_output else None,  # standard output is the document's alone
        budget_pct=max_overhead,
        tier=tier,
        counters=not no_counters,
    )
    with Interrupts() as interrupts:
        _record(options, interrupts)
    _print_summary(options.output, json_output=json_output)
    if not options.open_ended:
        interrupts.check()


def _print_summary(path: Path, *, json_output: bool) -> None:
    from reports import json_document, run_sections, text

    summary = summarise(read_run(path))
    if json_output:
        show(json_document.render_run(summary))
    else:
        show(text.render(run_sections.run_report(summary), width=width(), colour=colour()))
        say(f"Recorded to {path}.")


def _record(options: Options, interrupts: Interrupts) -> None:
    """Record until the planned end or a signal."""
    if options.tier == "ebpf":
        require_privilege()
    layout = detect_layout()
    text = shlex.join(options.command)
    meta = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": pack(describe_host(layout)),
        "tier": options.tier,
        "command": text,
        "globs": ", ".join(options.globs),
    }
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(RunWriter(options.output, meta))
        source = stack.enter_context(open_source(layout, options.tier, WANTED if options.counters else ()))
        governor = Governor(source, options.budget_pct)
        commands = []
        if options.command:
            command = stack.enter_context(_held(text, layout, options.command_output))
            writer.note("command_cgroup", command.group.path)
            commands = [command]
        # The command is there already, and keeps the limit that it was given.
        gatherer = stack.enter_context(SignalGatherer(layout, most_open=raise_file_limit() // 2))
        _write_windows(options, writer, governor, gatherer, commands, interrupts)
        for command in commands:
            _tell_end(text, command)
        if interrupts.requested and not options.open_ended:
            writer.keep_partial()
        else:
            writer.finish()


def _write_windows(
    options: Options,
    writer: RunWriter,
    governor: Governor,
    gatherer: SignalGatherer,
    commands: list[Command],
    interrupts: Interrupts,
) -> None:
    def ended(seconds: float) -> bool:
        try:
            return wait_for_first(commands, seconds, interrupts) is not None
        except Interrupted:
            return True

    def complete(window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        return gatherer.complete(recorder.matching(window, options.globs), before, after)

    def begun() -> None:
        gatherer.begin(lambda path: not options.globs or recorder.matches(path, options.globs))
        for command in commands:
            command.release()
        if options.open_ended:
            say(f"Recording to {options.output}; Ctrl-C ends it.")

    for window in recorder.windows(
        governor, options.interval_s, options.duration_s, ended, begun, complete=complete
    ):
        writer.append(window)
        if governor.cost is not None:
            writer.note("self_cost", pack(governor.cost))
        if governor.warnings:
            writer.note("notes", pack(Notes(tuple(governor.warnings))))


@contextlib.contextmanager
def _held(text: str, layout: CgroupLayout, output: Output) -> Iterator[Command]:
    """A command in a cgroup of its own, held until it is released; in the end nothing of it is left."""
    workspace = Workspace(layout)
    with Janitor(workspace.directories), workspace:
        # Without `exec` the shell would stay, and hide by which signal the command ended.
        command = start(f"exec {text}", workspace.make("command"), None, output, None)
        try:
            yield command
        finally:
            command.group.stop(_COMMAND_GRACE_S)
            command.close()


def _tell_end(text: str, command: Command) -> None:
    """Say what the summary does not: how the command ended, and what outlived it."""
    code = command.popen.poll()
    if code is None:
        say(f"The command {text!r} is ended before its time.")
    elif code != 0:
        say(f"The command {text!r} {command.ending()}.")
    if code is not None and (left := len(command.group.pids())):
        say(f"The command {text!r} left {left} processes behind; they are ended.")
