"""`jostle experiment`: with and without the co-tenants, interleaved at random; the verdict and its reports."""

import contextlib
import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from msgspec.structs import replace

from agent.cli import experiment_options as options
from agent.cli import output
from agent.cli.help import HelpAll
from agent.documents.metric import DURATION, STRETCH
from agent.documents.times import stamp
from agent.documents.verdict import Conclusion, Verdict
from agent.documents.verdict_parts import DataFile
from agent.sandbox.existing import CONTROLLERS
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.store.files import DIRECTORY_MODE, cannot_write, own_directory, write_whole
from collectors.host.hierarchy import detect_layout
from collectors.host.resolver import resolve
from probes.errors import UsageError
from probes.isolated import python_shell
from probes.loader import require_privilege

if TYPE_CHECKING:
    from agent.experiment.plan import Plan

VERDICT_FILE, REPORT_FILE, PAGE_FILE = "verdict.json", "report.md", "report.html"
EPILOG = "Example: jostle experiment --victim './bench' --neighbour ./batch"
FLAGS = frozenset({"--allow-freeze", "--confirm", "--no-counters", "--json", "--gate", "--demo", "--verbose"})
EXIT_INTERFERENCE, EXIT_INCONCLUSIVE = 10, 11
DEMO_VICTIM = python_shell("agent.selftest.workloads.victim")
DEMO_NEIGHBOUR = python_shell("agent.selftest.workloads.neighbour") + " spin"


class Words(NamedTuple):
    """The user's own, for the report."""

    title: str | None
    note: str | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment", epilog=EPILOG)(experiment)


def experiment(
    victim: options.Victim = None,
    victim_cgroup: options.VictimCgroup = None,
    neighbour: options.Neighbour = None,
    neighbour_cgroup: options.NeighbourCgroup = None,
    allow_freeze: options.AllowFreeze = False,
    metric: options.MetricOption = None,
    pairs: options.Pairs = options.PAIRS,
    max_pairs: options.MaxPairs = None,
    seed: options.Seed = None,
    threshold: options.Threshold = options.THRESHOLD_PCT,
    confirm: options.Confirm = False,
    sweep: options.Sweep = None,
    trial_seconds: options.TrialSeconds = options.TRIAL_S,
    timeout: options.Timeout = options.TIMEOUT_S,
    cpus: options.Cpus = None,
    tier: options.TierOption = "ebpf",
    no_counters: options.NoCounters = False,
    directory: options.Directory = None,
    json_output: options.Json = False,
    verbose: options.Verbose = False,
    gate: options.Gate = False,
    demo: options.Demo = False,
    title: options.Title = None,
    note: options.Note = None,
    _help_all: HelpAll = False,
) -> None:
    """Find out whether a victim runs slower beside its neighbours. *: repeatable."""
    from agent.experiment.plan import Plan, parse_cpus, parse_levels
    from agent.experiment.victim_metrics import parse_spec

    if demo:
        victim, neighbour = victim or DEMO_VICTIM, neighbour or [DEMO_NEIGHBOUR]
        metric = metric or ["duration", "jostle-victim"]
        # On one CPU they must share it. Free to move, the load balancer may keep them apart: 12 % slower, not 90.
        cpus = cpus or str(max(os.sched_getaffinity(0)))
    victim_cgroup, neighbour_cgroups = _existing(victim_cgroup, neighbour_cgroup or ())
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
        trial_s=trial_seconds,
        confirm=confirm,
        sweep_pct=() if sweep is None else parse_levels(sweep),
    )
    words = Words(title, note)
    _carry_out(
        plan, directory or _new_directory(), words, json_output=json_output, gate=gate, verbose=verbose
    )


def _existing(victim: str | None, neighbours: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The paths of the cgroups that are there already."""
    if victim is None and not neighbours:
        return None, ()
    from collectors.host.live import live

    among = live(detect_layout(), CONTROLLERS)
    found = None if victim is None else resolve(victim, among)
    return found, tuple(resolve(name, among) for name in neighbours)


def _new_directory() -> Path:
    return Path(f"jostle-{stamp()}")


def _carry_out(
    plan: "Plan", directory: Path, words: Words, *, json_output: bool, gate: bool, verbose: bool
) -> None:
    with Interrupts() as interrupts:
        verdict = _run(plan, directory, words, interrupts)
    if plan.confirm and verdict.verdict is not Conclusion.INTERFERENCE:
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
    from agent.experiment.session import run_session

    if plan.tier == "ebpf":
        require_privilege()
    with _fresh_directory(directory) as raw:
        with progress() as observer:
            session = run_session(plan, raw, observer, interrupts)
        decision = session.outcome.decision
        if decision is None:
            output.say(f"jostle: interrupted before a pair of trials was complete; raw data: {raw}")
            raise Interrupted
        found = conclude(session, decision, command=_to_repeat(sys.argv[1:], plan.seed), files=_files(raw))
        verdict = replace(found, title=words.title, note=words.note)
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
    if any((directory / name).exists() for name in (VERDICT_FILE, REPORT_FILE, PAGE_FILE, "raw")):
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
            if not existed:
                directory.rmdir()


def _files(raw: Path) -> tuple[DataFile, ...]:
    from agent.experiment.session import RUN_SUFFIX

    runs = sorted(path.name for path in raw.glob(f"*{RUN_SUFFIX}"))
    return (
        DataFile(VERDICT_FILE, "the verdict document"),
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
    output.say(
        f"Verdict: {verdict.verdict}. Reports: {files}. To read all: jostle report {shlex.quote(str(directory))}"
    )
