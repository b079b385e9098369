"""What watching the scheduler costs, ours beside three other tools, on the same storms in the same run.

    python -m benchmarks.overhead [--rounds N] [--storm NAME]… [--quick] [--json]

In each round every tool is loaded in turn, in random order, with passes of the storm with nothing loaded between
them; see docs/overhead.md. Writes build/bench/overhead.json.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from agent.sandbox.cgroups import Workspace
from agent.sandbox.interrupts import Interrupted, raise_on_signals
from agent.sandbox.janitor import Janitor
from benchmarks import overhead_table, peers
from benchmarks.overhead_figures import EMPTY, document
from benchmarks.storm_rounds import Rounds, first_sample_s
from benchmarks.storms import make_pairs, require_storms, storms
from collectors.host.hierarchy import detect_layout
from probes.errors import JostleError
from probes.privilege import require_privilege

OUTPUT = Path("build/bench/overhead.json")
STORMS = ("pipe", "messaging", "cgroups")
_SHM = Path("/dev/shm")  # noqa: S108  a tmpfs: perf's data must not wait for a disk; a fresh directory is made in it

_PREFIX = "jostle-bench-"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of this benchmark's command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="visits of each tool to each storm (default 3)")
    parser.add_argument("--storm", action="append", choices=STORMS, help="only this one (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="one round of short passes: does it run at all?")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a pass with nothing loaded")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the tools")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="where the storms run")
    parser.add_argument("--json", action="store_true", help="print the document, and no table")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or not options.seconds > 0:
        parser.error("--rounds and --seconds must be above 0")
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    return options


def measure(options: argparse.Namespace, progress: Console) -> dict[str, Any]:
    """Run everything; what was started is gone when this returns or raises."""
    tools = peers.tools()
    require_storms()
    missing = {tool.name: f"{tool.program} is not installed" for tool in tools if not tool.installed}
    raise_on_signals()
    with contextlib.ExitStack() as stack:
        workspace = Workspace(detect_layout())
        stack.enter_context(Janitor(workspace.directories))
        stack.enter_context(workspace)
        remove_leftovers(_SHM)
        prefix = f"{_PREFIX}{os.getpid()}-"
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=_SHM)))
        caches = [scratch / f"cache-{number}" for number in range(options.rounds)]
        compiled = [first_sample_s(workspace, scratch, cache) for cache in caches]
        kept = [first_sample_s(workspace, scratch, cache) for cache in caches]
        rounds = Rounds(workspace, scratch, options.cpu, options.seconds, random.Random(options.seed))  # noqa: S311  an order, no secret
        names = [tool.name for tool in tools if tool.installed] + [EMPTY]
        visits = {}
        chosen = [name for name in STORMS if name in (options.storm or STORMS)]
        for name in chosen:
            if name == "cgroups":
                make_pairs(workspace)
            visits[name] = rounds.run(storms(workspace)[name], names, options.rounds, progress)
        context = {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "rounds": options.rounds,
            "pass_s": options.seconds,
            "foreign_programs": rounds.foreign_programs,
            "repeated_passes": rounds.repeated,
        }
    return document(visits, (compiled, kept), missing, context)


def remove_leftovers(shm: Path) -> None:
    """What a benchmark that was killed could not remove; its processes and cgroups are gone (see Janitor)."""
    for directory in shm.glob(f"{_PREFIX}*"):
        pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", pid or "gone").exists():
            shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Measure, write the document, print it or the table."""
    options = parse_arguments()
    progress = Console(stderr=True)
    try:
        require_privilege()
        result = measure(options, progress)
    except JostleError as error:
        print(f"overhead: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Interrupted:
        sys.exit(130)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        overhead_table.show(result, Console(width=None if sys.stdout.isatty() else 110))


if __name__ == "__main__":
    main()
