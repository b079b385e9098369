"""The child process that compiles: `probes.compiler`, spawned by `probes.loader`.

bcc's compiler costs 125 MB of memory, so it lives in a process that ends. Reads a `CompileRequest` as JSON on standard
input; prints `CompiledProbes.to_text`, or an error as one JSON object.
"""

import json
import os
import sys
from itertools import chain
from typing import Any

from probes import block_io, kernel, kernel_work, network, reclaim
from probes.compiled import BPF_DIR, CompiledProbes, CompileRequest, joined_source
from probes.errors import HostError, JostleError

MAPS = (
    "cells",
    "cell_owners",
    "cell_marks",
    "cell_index",
    "free_cells",
    "crowded_slots",
    "cell_walks",
    "cell_copies",
    "slot_sums",
    "cpu_states",
    "slices",
    "pair_buckets",
    "claimed_pairs",
    "drained_buckets",
    "growths",
    "grown_pairs",
    "pending_free_slots",
    "task_records",
    "slot_buckets",
    "slot_names",
    "lifecycle",
    "slot_tasks",
    "free_slots",
    "died_slots",
    "canaries",
    *block_io.MAPS,
    *kernel_work.MAPS,
    *reclaim.MAPS,
    *network.MAPS,
)
# Only with NR_COUNTERS.
COUNTER_MAPS = ("counter_events", "cpu_counters")
PROGRAMS = (
    "on_switch",
    "on_task",
    "on_claimed",
    "on_cell",
    "on_migrate",
    "on_cgroup_mkdir",
    "on_cgroup_rmdir",
    "on_cgroup_attach",
    "on_canary",
)


def compiler_flags(request: CompileRequest) -> list[str]:
    """The definitions as the compiler takes them; one beyond an int is unsigned and long."""
    return [
        f"-D{name}={value}ULL" if value > 0x7FFFFFFF else f"-D{name}={value}"
        for name, value in request.defines.items()
    ]


def maps_of(request: CompileRequest) -> tuple[str, ...]:
    """The maps that the programs have when compiled so."""
    return MAPS + COUNTER_MAPS if request.defines["NR_COUNTERS"] else MAPS


def programs_of(request: CompileRequest) -> tuple[str, ...]:
    """The programs that there are when compiled so."""
    optional = (programs for have, programs in kernel.OPTIONAL.items() if request.defines[have])
    return (*PROGRAMS, *chain.from_iterable(optional))


def compile_probes(request: CompileRequest) -> CompiledProbes:
    """What bcc makes of the sources. Its maps take their memory until this process ends.

    Raises:
        HostError: bcc is missing.
        JostleError: It did not compile.
    """
    bcc = _import_bcc()
    os.environ["BCC_KERNEL_SOURCE"] = str(BPF_DIR)
    try:
        module = bcc.BPF(text=joined_source(), cflags=compiler_flags(request))
    except Exception as error:  # bcc raises bare Exception; its compiler has told why on standard error
        # What is short here is short in every process of this user: the compiler's words come after these.
        remedy = "what the compiler said follows; is the limit on open files low (ulimit -n)?"
        raise JostleError(f"the BPF programs did not compile: {error}", remedy) from error
    maps = {name: bcc.lib.bpf_table_fd(module.module, name.encode()) for name in maps_of(request)}
    return CompiledProbes.of(
        request.key(), maps, {name: module.dump_func(name) for name in programs_of(request)}
    )


def _import_bcc() -> Any:  # noqa: ANN401  bcc has no types
    try:
        import bcc  # noqa: PLC0415  costs 60 MB: only in this child
    except ImportError as error:
        raise HostError("bcc is not installed", "apt-get install python3-bpfcc") from error
    return bcc


def main() -> None:
    """Compile the one request on standard input and print what came of it, or the error."""
    request = CompileRequest(**json.load(sys.stdin))
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is a message
    try:
        text = compile_probes(request).to_text()
    except JostleError as error:
        text = json.dumps({"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
    with answer:
        answer.write(text)


if __name__ == "__main__":
    main()
