"""`jostle experiment`: with and without the co-tenants, interleaved at random; the verdict and its reports."""

import contextlib
import dataclasses
import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from msgspec.structs import replace

from agent.cli import experiment_options as options
from agent.cli import output
from agent.cli.help import HelpAll
from agent.documents.metric import DURATION, STRETCH
from agent.documents.plan import PLAN_FILE
from agent.documents.times import stamp
from agent.documents.verdict import Conclusion, Verdict
from agent.documents.verdict_parts import DataFile
from agent.sandbox.existing import CONTROLLERS
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.store.files import DIRECTORY_MODE, append_line, cannot_write, own_directory, write_whole
from collectors.host.hierarchy import detect_layout
from collectors.host.resolver import resolve
from probes.errors import UsageError
from probes.isolated import python_shell
from probes.privilege import require_privilege

if TYPE_CHECKING:
    from agent.experiment.plan import Plan

VERDICT_FILE, REPORT_FILE, PAGE_FILE = "verdict.json", "report.md", "report.html"
EPILOG = "Example: jostle experiment --victim './bench' --neighbour ./batch"
FLAGS = frozenset(
    {"--allow-freeze", "--confirm", "--no-counters", "--json", "--gate", "--demo", "--verbose", "--plan"}
)
EXIT_INTERFERENCE, EXIT_INCONCLUSIVE = 10, 11
DEMO_VICTIM = python_shell("agent.selftest.workloads.victim")
DEMO_NEIGHBOUR = python_shell("agent.selftest.workloads.neighbour") + " spin"


class Words(NamedTuple):
    """The user's own, for the report."""

    title: str | None
    note: str | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment", epilog=EPILOG, cls=options.BareConfirm)(experiment)


def experiment(
    victim: options.Victim = None,
    victim_cgroup: options.VictimCgroup = None,
    neighbour: options.Neighbour = None,
    neighbour_cgroup: options.NeighbourCgroup = None,
    allow_freeze: options.AllowFreeze = False,
    metric: options.MetricOption = None,
    pairs: options.FirstPairs = options.PAIRS,
    max_pairs: options.MaxPairs = None,
    seed: options.Seed = None,
    threshold: options.Threshold = options.THRESHOLD_PCT,
    confirm: options.ConfirmOption = "auto",
    sweep: options.Sweep = None,
    trial_seconds: options.TrialSeconds = None,
    remedy: options.Remedies = None,
    max_stop_ms: options.MaxStopMs = 200.0,
    max_stopped_pct: options.MaxStoppedPct = 20.0,
    abort_if: options.AbortIf = None,
    timeout: options.Timeout = options.TIMEOUT_S,
    prepare: options.Prepare = None,
    cleanup: options.Cleanup = None,
    warmup: options.WarmUp = 1,
    cpus: options.Cpus = None,
    tier: options.TierOption = "ebpf",
    no_counters: options.NoCounters = False,
    cpu_cost: options.CpuCost = None,
    instances: options.Instances = 1,
    append: options.Append = None,
    only_plan: options.ShowPlan = False,
    directory: options.Directory = None,
    json_output: options.Json = False,
    verbose: options.HiddenVerbose = False,
    gate: options.Gate = False,
    demo: options.Demo = False,
    title: options.HiddenTitle = None,
    note: options.HiddenNote = None,
    _help_all: HelpAll = False,
) -> None:
    """Find out whether a victim runs slower beside its neighbours. *: repeatable."""
    from agent.experiment.plan import Plan, parse_cpus, parse_levels, parse_limit
    from agent.experiment.victim_metrics import parse_spec
    from agent.sandbox.treatments import STOP, parse_remedy

    if demo:
        victim, neighbour = victim or DEMO_VICTIM, neighbour or [DEMO_NEIGHBOUR]
        metric = metric or ["duration", "jostle-victim"]
        # On one CPU they must share it. Free to move, the load balancer may keep them apart: 12 % slower, not 90.
        cpus = cpus or str(max(os.sched_getaffinity(0)))
    victim_cgroup, neighbour_cgroups = _existing(victim_cgroup, neighbour_cgroup or ())
    # Whole trials where one asks for what only they have.
    whole = neighbour or confirm == "always" or sweep is not None or trial_seconds is not None
    in_slots = victim_cgroup is not None and bool(neighbour_cgroups) and not whole
    plan = Plan(
        victim=victim,
        neighbours=tuple(neighbour or ()),
        metrics=tuple(parse_spec(text) for text in metric or _default_metric(victim_cgroup)),
        pairs=pairs,
        max_pairs=max(pairs, options.DEFAULT_MAX_PAIRS) if max_pairs is None else max_pairs,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        threshold_pct=threshold,
        timeout_s=timeout,
        cpus=None if cpus is None else parse_cpus(cpus),
        tier=tier,
        counters=not no_counters,
        victim_cgroup=victim_cgroup,
        neighbour_cgroups=neighbour_cgroups,
        allow_freeze=allow_freeze,
        trial_s=options.TRIAL_S if trial_seconds is None else trial_seconds,
        confirm="never" if in_slots else confirm,
        sweep_pct=() if sweep is None else parse_levels(sweep),
        prepare=prepare,
        cleanup=cleanup,
        warmup=warmup,
        cpu_cost=cpu_cost,
        instances=instances,
        slots=in_slots,
        remedies=tuple(map(parse_remedy, remedy or [STOP])),
        max_stop_ms=max_stop_ms,
        max_stopped_pct=max_stopped_pct,
        abort_if=None if abort_if is None else parse_limit(abort_if),
    )
    if only_plan:
        _foresee(plan, json_output=json_output)
        return
    words, where = Words(title, note), directory or new_directory()
    if append:
        from reports import series

        append_line(append, series.HEADER, "")  # what cannot be written is told before anything runs
    carry_out(plan, where, words, append, json_output=json_output, gate=gate, verbose=verbose)


def _existing(victim: str | None, neighbours: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The paths of the cgroups that are there already."""
    if victim is None and not neighbours:
        return None, ()
    from collectors.host.live import live

    among = live(detect_layout(), CONTROLLERS)
    found = None if victim is None else resolve(victim, among)
    return found, tuple(resolve(name, among) for name in neighbours)


def _foresee(plan: "Plan", *, json_output: bool) -> None:
    """Run two pairs, and tell what as many as planned can show. Of trials that worked nothing is kept."""
    from agent.experiment.preregistration import as_text, power_of, registered
    from agent.experiment.runner import Observer
    from agent.experiment.session import run_session
    from reports.sections.origin import foreseen

    if plan.tier == "ebpf":
        require_privilege()
    few = dataclasses.replace(plan, pairs=2, max_pairs=2, confirm="never", sweep_pct=())
    raw = Path(tempfile.mkdtemp(prefix="jostle-plan-"))
    with Interrupts() as interrupts:
        outcome = run_session(few, raw, Observer(), interrupts).outcome
    shutil.rmtree(raw)
    if outcome.partial:
        raise Interrupted
    found = registered(plan, power_of(plan, outcome.trials))
    output.show(as_text(found) if json_output else "".join(f"{line}\n" for line in foreseen(found)))


def new_directory() -> Path:
    """Where reports go that nobody named a place for."""
    return Path(f"jostle-{stamp()}")


def carry_out(
    plan: "Plan",
    directory: Path,
    words: Words,
    append: Path | None = None,
    *,
    json_output: bool,
    gate: bool,
    verbose: bool,
) -> None:
    """Run it, write its reports and print the verdict, with the exit code of `--gate`."""
    with Interrupts() as interrupts:
        verdict = _run(plan, directory, words, interrupts)
    if append:
        from reports import series

        append_line(append, series.HEADER, series.render(verdict))
    if plan.confirm == "always" and verdict.verdict is not Conclusion.INTERFERENCE:
        output.say(f"--confirm: the verdict is {verdict.verdict}, so nobody was stopped alone")
    _print(verdict, directory, json_output=json_output, verbose=verbose)
    interrupts.check()
    if gate and verdict.verdict is Conclusion.INTERFERENCE:
        raise typer.Exit(EXIT_INTERFERENCE)
    if gate and verdict.verdict is Conclusion.INCONCLUSIVE:
        raise typer.Exit(EXIT_INCONCLUSIVE)


def _default_metric(victim_cgroup: str | None) -> list[str]:
    return [DURATION.name if victim_cgroup is None else STRETCH.name]


def _run(plan: "Plan", directory: Path, words: Words, interrupts: Interrupts) -> Verdict:
    from agent.cli.progress import progress
    from agent.experiment.conclude import conclude
    from agent.experiment.preregistration import as_text, asked_before, registered, sha256
    from agent.experiment.session import run_session

    if plan.tier == "ebpf":
        require_privilege()
    planned = as_text(registered(plan))
    with _fresh_directory(directory) as raw:
        write_whole(directory / PLAN_FILE, planned)
        earlier = asked_before(directory, planned)
        with progress() as observer:
            session = run_session(plan, raw, observer, interrupts)
        decision = session.outcome.decision
        if decision is None:
            output.say(f"jostle: interrupted before a pair of trials was complete; raw data: {raw}")
            raise Interrupted
        found = conclude(session, decision, command=_to_repeat(sys.argv[1:], plan.seed), files=_files(raw))
        done = found.experiment and replace(
            found.experiment, plan_sha256=sha256(planned), earlier_runs=earlier or None
        )
        verdict = replace(found, title=words.title, note=words.note, experiment=done)
        _write_reports(verdict, directory)
    return verdict


def _to_repeat(words: Sequence[str], seed: int) -> tuple[str, ...]:
    """The command that runs the same trials in the same order, the seed being named.

    Where the reports went is left out: that directory exists by now, and a new one has its own name.
    """
    again = list(_without_directory(words))
    named = any(word.partition("=")[0] == "--seed" for word in again)
    return ("jostle", *again, *([] if named else ["--seed", str(seed)]))


def _without_directory(words: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in words:
        # What follows an option that takes a value is that value, even where it looks like -o.
        is_value = before == "-o" or (before.startswith("--") and "=" not in before and before not in FLAGS)
        if before != "-o" and (is_value or not word.startswith("-o")):
            yield word
        before = "" if is_value else word


@contextlib.contextmanager
def _fresh_directory(directory: Path) -> Iterator[Path]:
    """The place for the raw data, which goes again if nothing came to be in it.

    Raises:
        UsageError: It holds an earlier experiment, which is neither mixed nor overwritten, or cannot be made.
    """
    raw, existed = directory / "raw", directory.exists()
    if any((directory / name).exists() for name in (VERDICT_FILE, REPORT_FILE, PAGE_FILE, PLAN_FILE, "raw")):
        raise UsageError(f"{directory} holds an experiment already", "choose another directory with -o")
    try:
        own_directory(directory)
        raw.mkdir(DIRECTORY_MODE)
    except OSError as error:
        raise cannot_write(raw, error) from error
    try:
        yield raw
    finally:
        with contextlib.suppress(OSError):
            raw.rmdir()
            (directory / PLAN_FILE).unlink(missing_ok=True)
            if not existed:
                directory.rmdir()


def _files(raw: Path) -> tuple[DataFile, ...]:
    from agent.experiment.session import RUN_SUFFIX

    runs = sorted(path.name for path in raw.glob(f"*{RUN_SUFFIX}"))
    return (
        DataFile(VERDICT_FILE, "the verdict document"),
        DataFile(PLAN_FILE, "what was planned, before the first trial"),
        *(DataFile(f"{raw.name}/{name}", "one trial: every cgroup's figures") for name in runs),
    )


def _write_reports(verdict: Verdict, directory: Path) -> None:
    from reports import html, json_document, markdown
    from reports.sections.verdict import full_report

    write_whole(directory / VERDICT_FILE, json_document.render_verdict(verdict))
    write_whole(directory / REPORT_FILE, markdown.render(full_report(verdict)))
    write_whole(directory / PAGE_FILE, html.render_verdict(verdict))


def _print(verdict: Verdict, directory: Path, *, json_output: bool, verbose: bool) -> None:
    from reports import json_document
    from reports.sections.verdict import verdict_report

    if json_output:
        output.show(json_document.render_verdict(verdict))
        return
    output.show_report(verdict_report(verdict), verbose=verbose)
    files = f"{VERDICT_FILE}, {REPORT_FILE}, {PAGE_FILE} and raw/ in {directory}"
    for line in (f"Verdict: {verdict.verdict}. Reports: {files}.", *_next_commands(verdict, directory)):
        output.say(line)


def _next_commands(verdict: Verdict, directory: Path) -> Iterator[str]:
    """What to type for what people want to know next, ready to be copied."""
    where = shlex.quote(str(directory))
    yield f"To read all: jostle report {where}"
    yield f"A page for a review: jostle report {where} -f html -o review.html"
    done = verdict.experiment
    swept = verdict.sweep is not None or verdict.treatment is not None
    if verdict.verdict is Conclusion.INTERFERENCE and done and done.neighbours and not swept:
        # With a seed of its own, as it is another experiment: the seed ends the command where none was given.
        words = done.command[:-2] if done.command[-2:-1] == ("--seed",) else done.command
        yield f"How much of the neighbours does no harm: {shlex.join(words)} --sweep 0,5,20,50,100"
