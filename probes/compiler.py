"""The child process that compiles and loads: `python -m probes.compiler`, spawned by `probes.loader`.

bcc's compiler costs 125 MB of memory, so it lives in a process that ends when the descriptors are handed over.
Reads a `CompileRequest` as JSON on standard input; answers on the socket given as its argument: one JSON header with
either the names of the descriptors that come with it, or an error.
"""

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probes import bpf_syscall
from probes.bpf_syscall import (
    ATTACH_TRACE_ITER,
    ATTACH_TRACE_RAW_TP,
    PROG_TYPE_RAW_TRACEPOINT,
    PROG_TYPE_TRACING,
    Program,
)
from probes.errors import HostError, JostleError

BPF_DIR = Path(__file__).parent / "bpf"
# Joined into one text, because bcc does not see maps and their methods in an included file.
SOURCES = (
    "layout.h",
    "kernel.h",
    "slots.h",
    "blame.h",
    "wait.h",
    "counters.h",
    "switch.c",
    "migrate.c",
    "wait_scan.c",
    "pairs.c",
    "lifecycle.c",
    "canary.c",
)
MAPS = (
    "slot_stats",
    "cpu_states",
    "slices",
    "pair_buckets",
    "claimed_pairs",
    "drained_buckets",
    "row_words",
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
)
# Only with NR_COUNTERS.
COUNTER_MAPS = ("counter_events", "slot_counters", "cpu_counters")
PROGRAMS = (
    "on_switch",
    "on_task",
    "on_claimed",
    "on_migrate",
    "on_cgroup_mkdir",
    "on_cgroup_rmdir",
    "on_cgroup_attach",
    "on_canary",
)
ITERATORS = frozenset({"on_task", "on_claimed"})


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What to compile with, and what to attach to (BTF ids by program name; none: untyped raw tracepoints)."""

    defines: dict[str, int]
    attach_ids: dict[str, int]
    typed: bool

    def to_json(self) -> str:
        """The form that `main` reads."""
        return json.dumps(asdict(self))


def joined_source() -> str:
    """All sources as one text; `#line` keeps the compiler's messages right."""
    return "".join(f'#line 1 "{name}"\n{(BPF_DIR / name).read_text()}' for name in SOURCES)


def compiler_flags(request: CompileRequest) -> list[str]:
    """The definitions as the compiler takes them; one beyond an int is unsigned and long."""
    return [
        f"-D{name}={value}ULL" if value > 0x7FFFFFFF else f"-D{name}={value}"
        for name, value in request.defines.items()
    ]


def program(name: str, code: bytes, request: CompileRequest) -> Program:
    """How a compiled program is loaded: typed where the request says so, iterators always."""
    if name in ITERATORS:
        return Program(name, code, PROG_TYPE_TRACING, ATTACH_TRACE_ITER, request.attach_ids[name])
    if request.typed and name in request.attach_ids:
        return Program(name, code, PROG_TYPE_TRACING, ATTACH_TRACE_RAW_TP, request.attach_ids[name])
    return Program(name, code, PROG_TYPE_RAW_TRACEPOINT)


def maps_of(request: CompileRequest) -> tuple[str, ...]:
    """The maps that the programs have when compiled so."""
    return MAPS + COUNTER_MAPS if request.defines["NR_COUNTERS"] else MAPS


def compile_and_load(request: CompileRequest) -> dict[str, int]:
    """Descriptors by the names of MAPS and PROGRAMS. The maps stay open as long as this process lives."""
    bcc = _import_bcc()
    os.environ["BCC_KERNEL_SOURCE"] = str(BPF_DIR)
    try:
        module = bcc.BPF(text=joined_source(), cflags=compiler_flags(request))
    except Exception as error:  # bcc raises bare Exception; its compiler has told why on standard error
        # What is short here is short in every process of this user: the compiler's words come after these.
        remedy = "what the compiler said follows; is the limit on open files low (ulimit -n)?"
        raise JostleError(f"the BPF programs did not compile: {error}", remedy) from error
    descriptors = {name: bcc.lib.bpf_table_fd(module.module, name.encode()) for name in maps_of(request)}
    programs = [program(name, module.dump_func(name), request) for name in PROGRAMS]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  1 MB: only in this child

    # The verifier takes 0.2 s for each of the long ones, and runs in parallel.
    with ThreadPoolExecutor() as pool:
        return descriptors | dict(zip(PROGRAMS, pool.map(bpf_syscall.load, programs), strict=True))


def _import_bcc() -> Any:  # noqa: ANN401  bcc has no types
    try:
        import bcc  # noqa: PLC0415  costs 60 MB: only in this child
    except ImportError as error:
        raise HostError("bcc is not installed", "apt-get install python3-bpfcc") from error
    return bcc


def main() -> None:
    """Compile the one request on standard input and send its descriptors, or an error, over the socket given."""
    request = CompileRequest(**json.load(sys.stdin))
    answer = socket.socket(fileno=int(sys.argv[1]))
    try:
        descriptors = compile_and_load(request)
    except JostleError as error:
        header = {"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
        socket.send_fds(answer, [json.dumps(header).encode()], [])
        return
    header_ok = {"names": list(descriptors)}
    socket.send_fds(answer, [json.dumps(header_ok).encode()], list(descriptors.values()))


if __name__ == "__main__":
    main()
