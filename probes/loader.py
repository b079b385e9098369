"""Loads the probes, from a file or from the compiling child, and checks them before anything is attached.

Their descriptors are all that keeps the programs and maps alive: when this process ends, however it ends, the kernel
detaches and frees everything.
"""

import json
import mmap
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probes import bpf_syscall, kept
from probes.bpf_syscall import (
    ATTACH_TRACE_ITER,
    ATTACH_TRACE_RAW_TP,
    PROG_TYPE_RAW_TRACEPOINT,
    PROG_TYPE_SOCKET_FILTER,
    PROG_TYPE_TRACING,
    Program,
    VerifierError,
)
from probes.compiled import CompiledProbes, CompileRequest, DamagedError
from probes.compiler import programs_of
from probes.errors import HostError, JostleError, refusal, refusal_in
from probes.isolated import python
from probes.privilege import require_privilege

ITERATORS = frozenset({"on_task"})
WALKS = frozenset({"on_claimed", "on_cell"})
"""Programs over our own maps alone, which `bpf_syscall.run_over` runs: of the one type that it can run many times."""
CANARY = struct.Struct("<4Q")
"""struct canary of bpf/canary.c."""

_TIMEOUT_S = 120  # 0.7 s on real hardware; an emulated guest takes 7
_EXIT_CODE_HOST = HostError.exit_code


@dataclass(frozen=True, slots=True)
class Loaded:
    """Descriptors of maps and programs by name, and where the programs came from.

    Attributes:
        origin: In words: the file that they were kept in, or the compiler.
        not_kept: Why what was compiled could not be kept for the next start.
    """

    descriptors: dict[str, int]
    origin: str
    not_kept: str | None = None


def load(request: CompileRequest) -> Loaded:
    """Load the probes that are kept for this request, or compile them and keep them.

    What is kept and not taken is said on standard error.

    Raises:
        HostError: The kernel refused (the verifier's last lines are in the message), or bcc is missing.
        JostleError: Compiling failed, or the child died.
    """
    require_privilege()
    programs = [as_loaded(name, request) for name in programs_of(request)]
    for found in look_up(request):
        why_not = found.why_not
        if found.probes is not None:
            try:
                return Loaded(found.probes.load(programs), f"kept in {found.path}")
            except (VerifierError, KeyError) as error:
                why_not = f"the kernel refused it: {error}"
        if why_not is not None:
            print(f"jostle: {found.path} is not taken: {why_not}; the probes are compiled", file=sys.stderr)
    try:
        compiled = compile_probes(request)
    except OSError as error:
        raise refusal("starting the process that compiles the probes", error) from error
    return Loaded(compiled.load(programs), "compiled", kept.keep(compiled, kept.directories()[0]))


def look_up(request: CompileRequest) -> Iterator[kept.Found]:
    """What is kept for this request, in each place where it may be."""
    key = request.key()
    return (kept.find(key, directory) for directory in kept.directories())


def as_loaded(name: str, request: CompileRequest) -> Program:
    """How a program is loaded, without its code: typed where the request says so, iterators always."""
    attach_to = request.attach_ids.get(name, 0)
    if name in WALKS:
        return Program(name, b"", PROG_TYPE_SOCKET_FILTER)
    if name in ITERATORS:
        return Program(name, b"", PROG_TYPE_TRACING, ATTACH_TRACE_ITER, request.attach_ids[name])
    if request.typed and attach_to:
        return Program(name, b"", PROG_TYPE_TRACING, ATTACH_TRACE_RAW_TP, attach_to)
    return Program(name, b"", PROG_TYPE_RAW_TRACEPOINT)


def compile_probes(request: CompileRequest) -> CompiledProbes:
    """Have a child compile.

    Raises:
        HostError: bcc is missing, or the kernel refused.
        JostleError: It did not compile, or the child died.
    """
    child = subprocess.Popen(
        python("probes.compiler"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd="/",
    )
    try:
        answer, messages = child.communicate(request.to_json(), timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise JostleError(
            f"compiling the probes took over {_TIMEOUT_S} s", "is the machine overloaded?"
        ) from None
    finally:
        child.kill()
        child.wait()
    try:
        return CompiledProbes.from_text(answer)
    except DamagedError:
        raise _failure(answer, messages) from None


def _failure(answer: str, messages: str) -> JostleError:
    """Why the child compiled nothing, from its answer and the compiler's messages."""
    try:
        found = json.loads(answer)
    except ValueError:
        last = " | ".join(messages.strip().splitlines()[-4:]) or "it said nothing"
        return JostleError(
            f"the process that compiles the probes died: {last}", "is there memory for the compiler?"
        )
    if refused := refusal_in(
        "making the maps of the probes", messages
    ):  # bcc says the number's words there alone
        return refused
    kind = HostError if found["exit_code"] == _EXIT_CODE_HOST else JostleError
    detail = "".join(f"\n  {line}" for line in messages.strip().splitlines()[-6:])
    return kind(found["error"] + detail, found["remedy"])


def check(prog_fd: int, memory: mmap.mmap, identity_is_v2: bool) -> None:  # noqa: FBT001  a fact about the host
    """Run the canary program on this thread: is what the programs would read at their offsets what the kernel says?

    Raises:
        HostError: A member read at its BTF offset disagrees with a helper or with /proc, so nothing measured
            with these offsets could be trusted.
    """
    bpf_syscall.test_run(prog_fd)
    pid_tgid, pid, key, run_delay_ns = CANARY.unpack_from(memory)
    tid = threading.get_native_id()
    # The helper counts in the initial pid namespace, as the offset does; /proc's figure only in ours.
    _compare("task_struct.pid", pid, pid_tgid & 0xFFFFFFFF)
    before_ns = _run_delay_ns(tid)
    if before_ns is not None and run_delay_ns > before_ns:
        raise _disagreement("task_struct.sched_info.run_delay", run_delay_ns, before_ns)
    if identity_is_v2:
        inode = _own_v2_inode()
        if inode is not None:
            _compare("the cgroup's id", key, inode)


def _compare(what: str, by_offset: int, by_kernel: int) -> None:
    if by_offset != by_kernel:
        raise _disagreement(what, by_offset, by_kernel)


def _disagreement(what: str, by_offset: int, by_kernel: int) -> HostError:
    return HostError(
        f"{what} read at its BTF offset is {by_offset}, the kernel says {by_kernel}",
        "the kernel's BTF does not describe the running kernel; nothing was attached",
    )


def _run_delay_ns(tid: int) -> int | None:
    """Field 2 of schedstat, read after the canary: at least what the canary saw."""
    try:
        return int(Path(f"/proc/self/task/{tid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _own_v2_inode() -> int | None:
    """Inode of this process's v2 cgroup, or None where it cannot be seen from here.

    A mount shows something else at that path when its top is not this cgroup namespace's: `/..` in mountinfo.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        path = next(line[3:] for line in lines if line.startswith("0::"))
        mounts = (
            Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        )
        unified = (line.split() for line in mounts if " - cgroup2 " in line)
        mount = next(fields[4] for fields in unified if fields[3] == "/")
        return os.stat(mount + path).st_ino  # noqa: PTH116  a joined string, not a Path
    except (OSError, StopIteration, IndexError):
        return None
