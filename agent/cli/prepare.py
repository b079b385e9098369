"""`jostle prepare`: the compiled probes as a file, for hosts without a compiler."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import output
from agent.store.files import write_whole
from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import identity_of, list_cgroups
from collectors.windows.counters import WANTED
from probes import kernel, layout, loader
from probes.counters import OpenEvents
from probes.errors import HostError, UsageError
from probes.kept import PREPARED
from probes.sched_probe import CgroupIdentity, compile_request

EPILOG = f"""Example: jostle prepare -o this-host.probes

Copied to {PREPARED} on a host of the same kernel, size and kind of cgroups,
or into its cache, it is taken there, as `jostle doctor` says."""
_V2_ROOT_ID = 1  # the inode of every cgroup2 mount's root (fs/kernfs/dir.c: ids begin with the root's)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prepare", epilog=EPILOG)(prepare)


def prepare(
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it.")],
    btf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Another host's /sys/kernel/btf/vmlinux; then for cgroup v2 alone."
        ),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=8192,
            help="One more than the highest number in /sys/devices/system/cpu/present.",
        ),
    ] = None,
    possible_cpus: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=8192, help="The same of .../cpu/possible; as many by default."),
    ] = None,
    cgroups: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many cgroups it begins with; to 2,048 the same."),
    ] = None,
    counters: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=16,
            help="Events it counts; no PMU: 0.",
        ),
    ] = None,
) -> None:
    """Compile the probes, for hosts that have no compiler. Like this one by default."""
    if btf is not None and not btf.is_file():
        raise UsageError(f"there is no file {btf}", "copy the other host's /sys/kernel/btf/vmlinux")
    try:
        host = kernel.describe(btf)
    except HostError as error:
        if btf is None:
            raise
        raise UsageError(f"{btf} does not describe a kernel that jostle knows: {error.message}") from error
    if btf is None:
        here = detect_layout()
        identity, found = identity_of(here), sum(1 for _ in list_cgroups(here))
    else:
        identity, found = CgroupIdentity(_V2_ROOT_ID, None), 1
    present = cpus or kernel.count_cpus("present")
    room = kernel.watched_cpus(present, possible_cpus or cpus or kernel.count_cpus("possible"))
    if counters is None:
        counters = _countable(room)
    request = compile_request(host, layout.dimensions_for(room, cgroups or found), identity, counters)
    write_whole(file, loader.compile_probes(request).to_text())
    output.say(f"{file}: the probes for {room} CPUs and {counters} counters; key {request.key()[:12]}")


def _countable(cpus: int) -> int:
    """Of the events of a recording, those that this host can count."""
    opened = OpenEvents(WANTED, cpus)
    opened.close()
    return len(opened.events)
