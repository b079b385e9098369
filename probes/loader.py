"""Spawns the compiling child and takes over what it loaded.

The descriptors that arrive here are all that keeps the programs and maps alive: when this process ends, however
it ends, the kernel detaches and frees everything.
"""

import errno
import json
import os
import socket
import subprocess
from pathlib import Path

from probes.compiler import COUNTER_MAPS, MAPS, PROGRAMS, CompileRequest
from probes.errors import HostError, JostleError
from probes.isolated import python
from probes.refusal import refusal, refusal_in

_TIMEOUT_S = 120  # 0.7 s on real hardware; an emulated guest takes 7
_EXIT_CODE_HOST = HostError.exit_code


def require_privilege() -> None:
    """Refuse early, with the remedy, where BPF cannot work.

    Raises:
        HostError: Without CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), as root in most containers is.
    """
    if not _has_capabilities():
        remedy = "give its container these" if os.geteuid() == 0 else "run it with sudo"
        raise HostError("attaching probes needs root with CAP_BPF and CAP_PERFMON", remedy)


def _has_capabilities() -> bool:
    cap_sys_admin, cap_perfmon, cap_bpf = 21, 38, 39  # include/uapi/linux/capability.h
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(effective >> cap_sys_admin & 1 or (effective >> cap_bpf & effective >> cap_perfmon & 1))


def load(request: CompileRequest) -> dict[str, int]:
    """Descriptors of maps and programs, by name.

    Raises:
        HostError: The kernel refused (the verifier's last lines are in the message), or bcc is missing.
        JostleError: Compiling failed, or the child died.
    """
    require_privilege()
    try:
        return _load(request)
    except OSError as error:
        raise refusal("starting the process that loads the probes", error) from error


def _load(request: CompileRequest) -> dict[str, int]:
    ours, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, childs:
        child = subprocess.Popen(
            python("probes.compiler", str(childs.fileno())),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[childs.fileno()],
            text=True,
            errors="replace",
            cwd="/",
        )
        childs.close()
        try:
            _, messages = child.communicate(request.to_json(), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise JostleError(
                f"compiling the probes took over {_TIMEOUT_S} s", "is the machine overloaded?"
            ) from None
        finally:
            child.kill()
            child.wait()
        return _receive(ours, messages)


def _receive(ours: socket.socket, messages: str) -> dict[str, int]:
    header, descriptors, _, _ = socket.recv_fds(ours, 1 << 16, len(MAPS) + len(COUNTER_MAPS) + len(PROGRAMS))
    if not header:
        last = " | ".join(messages.strip().splitlines()[-4:]) or "it said nothing"
        raise JostleError(
            f"the process that loads the probes died: {last}", "is there memory for the compiler?"
        )
    answer = json.loads(header)
    if "error" in answer:
        if refused := refusal_in(
            "making the maps of the probes", messages
        ):  # bcc says the number's words there alone
            raise refused
        kind = HostError if answer["exit_code"] == _EXIT_CODE_HOST else JostleError
        detail = "".join(f"\n  {line}" for line in messages.strip().splitlines()[-6:])
        raise kind(answer["error"] + detail, answer["remedy"])
    if len(descriptors) < len(answer["names"]):  # the kernel cuts off what does not fit
        for descriptor in descriptors:
            os.close(descriptor)
        raise refusal("taking over the probes", OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    return dict(zip(answer["names"], descriptors, strict=True))
