"""The process that a recording is, without the command line's parser (see `exit_codes.become`).

[--debug] OPTIONS [COMMAND…]     the options as JSON
"""

import contextlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from agent.cli.exit_codes import end_with
from agent.cli.output import prepare_streams, say, show, show_report
from agent.documents.summary import RunSummary
from agent.documents.tasks import tasks_within
from agent.documents.times import moment
from agent.recording import recorder
from agent.recording.budget import Governor, require_budget
from agent.recording.host import describe_host
from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import Command, Output, start, wait_for_first
from agent.sandbox.interrupts import SIGNALS, Interrupted, Interrupts, raise_on_signals
from agent.sandbox.janitor import Janitor
from agent.sandbox.shell_line import require_runnable
from agent.store.files import raise_file_limit
from agent.store.run_file import Notes, Run, RunWriter, pack
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.resolver import Cgroups, matches, require_matched, unmatched
from collectors.sources.cgroup_files import CgroupReader
from collectors.sources.gatherer import SignalGatherer
from collectors.sources.signal_reader import SignalReader
from collectors.sources.tasks import read_tasks
from collectors.sources.tiers import Tier, open_source
from collectors.windows.counters import WANTED
from collectors.windows.sched import SchedWindow, matching
from probes.privilege import require_privilege
from probes.snapshot import Snapshot

_COMMAND_GRACE_S = 1.0
# Added to the number of the signal that ended a command, as every shell does.
_BY_SIGNAL = 128


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What `jostle record` was asked to do."""

    duration_s: float | None
    interval_s: float
    output: Path
    globs: tuple[str, ...]
    command: tuple[str, ...]
    budget_pct: float
    tier: Tier
    counters: bool
    io: bool
    net: bool
    json_output: bool
    title: str | None = None
    note: str | None = None
    verbose: bool = False

    @classmethod
    def from_json(cls, text: str, command: Sequence[str]) -> "RecordOptions":
        """As the command line gave them; see `record.record`."""
        given = {**json.loads(text), "command": command}
        return msgspec.convert(given, cls, dec_hook=lambda kind, value: kind(value))  # of a Path

    def __post_init__(self) -> None:
        if self.duration_s is not None:
            recorder.require_duration(self.duration_s)
        recorder.require_interval(self.interval_s)
        require_budget(self.budget_pct)
        if self.command:
            require_runnable(shlex.join(self.command))

    @property
    def command_output(self) -> Output:
        """Standard output is the document's alone."""
        return 2 if self.json_output else None

    @property
    def open_ended(self) -> bool:
        """Whether Ctrl-C is the planned end."""
        return self.duration_s is None and not self.command


def main() -> None:
    """Record as the arguments say."""
    raise_on_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    prepare_streams()
    debug = sys.argv[1] == "--debug"
    options, *command = sys.argv[1 + debug :]
    end_with(lambda: _run(RecordOptions.from_json(options, command)), debug=debug)


def _run(options: RecordOptions) -> int:
    with Interrupts() as interrupts:
        code = _record(options, interrupts)
    _print_summary(options)
    if not options.open_ended:
        interrupts.check()
    return code


def _print_summary(options: RecordOptions) -> None:
    from agent.analysis.summarise import summarise
    from agent.store.run_file import read_run
    from reports import json_document
    from reports.sections import run as run_sections

    run = read_run(options.output)
    summary = summarise(run)
    if options.json_output:
        show(json_document.render_run(summary))
        return
    report = run_sections.run_report(summary)
    show_report(replace(report, answer=tuple(_answer(run, summary))), verbose=options.verbose)
    say(f"Recorded to {options.output}; jostle report {shlex.quote(str(options.output))} tells all of it.")


def _answer(run: Run, summary: RunSummary) -> Sequence[str]:
    """Who suffered, behind whom, what to do; of a command that was recorded whether it did."""
    from agent.analysis.blame import tasks_of
    from agent.analysis.now import host_now, watched
    from agent.analysis.placement import settings_now
    from reports.sections import now as now_sections

    if run.meta["tier"] != "ebpf" or not run.windows:
        return ()
    names = {each.path: each.name for each in summary.cgroups}
    own = run.meta.get("command_cgroup")
    seen = watched(
        run.windows, lambda path: names.get(path, path), settings_now(detect_layout()), tasks_of(run)
    )
    return now_sections.answer(
        host_now(summary.host.hostname, seen, patterns=(own,) if own else (), partial=run.partial)
    )


def _record(options: RecordOptions, interrupts: Interrupts) -> int:
    """Record until the planned end or a signal; the exit code: the command's own, or 0."""
    if options.tier == "ebpf":
        require_privilege()
    layout = detect_layout()
    text = shlex.join(options.command)
    meta = {
        "started": moment(time.time()),
        "host": pack(describe_host(layout)),
        "tier": options.tier,
        "command": text,
        "globs": ", ".join(options.globs),
        "title": options.title or "",
        "note": options.note or "",
    }
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(RunWriter(options.output, meta))
        source = stack.enter_context(
            open_source(
                layout,
                options.tier,
                WANTED if options.counters else (),
                io=options.io,
                net=options.net,
            )
        )
        governor = Governor(source, options.budget_pct)
        commands = []
        if options.command:
            command = stack.enter_context(_held(text, layout, options.command_output))
            writer.note("command_cgroup", command.group.path)
            commands = [command]
        # The command is there already, and keeps the limit that it was given.
        cgroups = CgroupReader(layout, keep_below=raise_file_limit() // 2)
        gatherer = stack.enter_context(SignalGatherer(layout, reader=SignalReader(layout, cgroups=cgroups)))
        pending = unmatched(options.globs, _cgroups(layout).paths) if options.globs else []
        _write_windows(options, layout, writer, governor, gatherer, commands, interrupts, pending)
        code = max((_tell_end(text, command) for command in commands), default=0)
        if interrupts.requested and not options.open_ended:
            writer.keep_partial()
            return code
        writer.finish()
    # Else a typing error would read like "nobody waited". What has come and gone meanwhile is in `pending` no more.
    if pending:
        require_matched(pending, replace(_cgroups(layout), place=f", and {options.output} holds none"))
    return code


def _cgroups(layout: CgroupLayout) -> Cgroups:
    from collectors.host.live import live

    return live(layout)


def _write_windows(
    options: RecordOptions,
    layout: CgroupLayout,
    writer: RunWriter,
    governor: Governor,
    gatherer: SignalGatherer,
    commands: list[Command],
    interrupts: Interrupts,
    pending: list[str],
) -> None:
    """Record; of the filters in `pending` those are left that nothing matched that ran."""

    def ended(seconds: float) -> bool:
        try:
            return wait_for_first(commands, seconds, interrupts) is not None
        except Interrupted:
            return True

    def complete(window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        return gatherer.complete(matching(window, options.globs), before, after)

    def begun() -> None:
        gatherer.begin(lambda path: not options.globs or matches(path, options.globs))
        for command in commands:
            command.release()
        if options.open_ended:
            say(f"Recording to {options.output}; Ctrl-C ends it.")

    tasks = read_tasks(layout)
    for window in recorder.windows(
        governor, options.interval_s, options.duration_s, ended, begun, complete=complete
    ):
        writer.append(window)
        pending[:] = unmatched(pending, window.cgroups)
        if governor.cost is not None:
            writer.note("self_cost", pack(governor.cost))
        if governor.warnings:
            writer.note("notes", pack(Notes(tuple(governor.warnings))))
    writer.note("tasks", pack(tasks_within(tasks, read_tasks(layout))))


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


def _tell_end(text: str, command: Command) -> int:
    """Say what the summary does not: how the command ended, and what outlived it; the exit code, as a shell has it."""
    code = command.popen.poll()
    if code is None:
        say(f"The command {text!r} is ended before its time.")
    elif code != 0:
        say(f"The command {text!r} {command.ending()}.")
    if code is not None and (left := len(command.group.pids())):
        say(f"The command {text!r} left {left} processes behind; they are ended.")
    return 0 if code is None else code if code >= 0 else _BY_SIGNAL - code


if __name__ == "__main__":
    main()
