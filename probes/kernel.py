"""What differs between kernels, in one place: by presence in BTF, never by version.

`describe` turns the running kernel's type information into the `-D` definitions that `bpf/*.h` are written
against, or says which member is missing and which option would bring it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from probes.btf import KIND_FUNC, KIND_PTR, KIND_TYPEDEF, Btf, Param
from probes.errors import HostError


@dataclass(frozen=True, slots=True)
class Member:
    """A structure member that the probes read, under each name it has had, newest first."""

    name: str
    places: tuple[tuple[str, str], ...]
    remedy: str = "run a kernel between 5.10 and the newest known one, and report this"


REQUIRED = (
    Member("task_struct_pid", (("task_struct", "pid"),)),
    Member("task_struct_flags", (("task_struct", "flags"),)),
    Member("task_struct_cgroups", (("task_struct", "cgroups"),), "CONFIG_CGROUPS=y"),
    Member("task_struct_cfs_rq", (("task_struct", "se.cfs_rq"),), "CONFIG_FAIR_GROUP_SCHED=y"),
    Member("task_struct_pcount", (("task_struct", "sched_info.pcount"),), "CONFIG_SCHED_INFO=y"),
    Member("task_struct_run_delay", (("task_struct", "sched_info.run_delay"),), "CONFIG_SCHED_INFO=y"),
    Member("task_struct_last_arrival", (("task_struct", "sched_info.last_arrival"),), "CONFIG_SCHED_INFO=y"),
    Member("task_struct_last_queued", (("task_struct", "sched_info.last_queued"),), "CONFIG_SCHED_INFO=y"),
    Member("task_struct_on_rq", (("task_struct", "on_rq"),)),
    # Renamed by 2f064a59a11f (5.14), with a new type.
    Member("task_struct_state", (("task_struct", "__state"), ("task_struct", "state"))),
    Member("cfs_rq_rq", (("cfs_rq", "rq"),), "CONFIG_FAIR_GROUP_SCHED=y"),
    Member("rq_clock", (("rq", "clock"),)),
    Member("rq_cpu", (("rq", "cpu"),), "CONFIG_SMP=y"),
    Member("rq_curr", (("rq", "curr"),)),
    Member("cgroup_kn", (("cgroup", "kn"),)),
    Member("cgroup_root", (("cgroup", "root"),)),
    Member("cgroup_root_hierarchy_id", (("cgroup_root", "hierarchy_id"),)),
    Member("kernfs_node_id", (("kernfs_node", "id"),)),
    Member("css_set_dfl_cgrp", (("css_set", "dfl_cgrp"),)),
    Member("css_set_subsys", (("css_set", "subsys"),)),
    Member("cgroup_subsys_state_cgroup", (("cgroup_subsys_state", "cgroup"),)),
)

THROTTLE_COUNT = Member("cfs_rq_throttle_count", (("cfs_rq", "throttle_count"),), "CONFIG_CFS_BANDWIDTH=y")
# Time throttled by an own or an ancestor's quota, with tasks queued: 677ea015f231 (6.6). Before, the time that
# PELT's clock stood still for the same reason, tasks or not: 64eaf50731ac (5.19), and under its first name.
THROTTLED_TIME = Member(
    "cfs_rq_throttled_time",
    (
        ("cfs_rq", "throttled_clock_self_time"),
        ("cfs_rq", "throttled_clock_pelt_time"),
        ("cfs_rq", "throttled_clock_task_time"),
    ),
    "CONFIG_CFS_BANDWIDTH=y",
)
# Both only sharpen what the two above tell: when the episode began (677ea015f231, 6.6), and that throttling is a
# task's own state (e1fad12dcb66, 6.18).
THROTTLED_SINCE = Member("cfs_rq_throttled_since", (("cfs_rq", "throttled_clock_self"),))
THROTTLED_TASK = Member("task_struct_throttled", (("task_struct", "throttled"),))
# Whether a sleeper is still on its queue: 152e11f6df29 (6.12).
SCHED_DELAYED = Member("task_struct_sched_delayed", (("task_struct", "se.sched_delayed"),))
# The difference of the run queue's two clocks is what interrupts and the hypervisor took
# (update_rq_clock_task(), kernel/sched/core.c); without either accounting it is always 0, so not read.
STOLEN_ACCOUNTING = (("rq", "prev_irq_time"), ("rq", "prev_steal_time_rq"))
CLOCK_TASK = Member("rq_clock_task", (("rq", "clock_task"),))

# What the kernel's type information calls that which each program is attached to.
ATTACHED_TO = {
    "on_switch": "btf_trace_sched_switch",
    "on_migrate": "btf_trace_sched_migrate_task",
    "on_cgroup_mkdir": "btf_trace_cgroup_mkdir",
    "on_cgroup_rmdir": "btf_trace_cgroup_rmdir",
    "on_cgroup_attach": "btf_trace_cgroup_attach_task",
    "on_task": "bpf_iter_task",
    "on_claimed": "bpf_iter_bpf_map_elem",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """The running kernel, as the BPF programs need to know it.

    Attributes:
        offsets: `OFF_…` name to byte offset.
        switch_args: Index of `preempt`, `prev`, `next` and, where it is passed, `prev_state` in sched_switch.
        typed: Whether programs get typed pointers (tp_btf): one load per member instead of a helper call.
        attach_ids: BTF ids to attach to, by program name; empty when not typed.
        throttling: Whether waits on a quota can be told apart.
        stolen: Whether time that interrupts or the hypervisor took can be told apart.
    """

    offsets: dict[str, int]
    switch_args: dict[str, int]
    typed: bool
    attach_ids: dict[str, int]
    throttling: bool
    stolen: bool

    def defines(self) -> dict[str, int]:
        """What the C side is compiled with."""
        return {
            **{f"OFF_{name}": offset for name, offset in self.offsets.items()},
            **{f"ARG_{name.upper()}": index for name, index in self.switch_args.items()},
            "TYPED_POINTERS": int(self.typed),
            "HAVE_THROTTLING": int(self.throttling),
        }


# PROC_PID_INIT_INO (include/linux/proc_ns.h).
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


def describe(btf_path: Path | None = None, *, typed: bool = True) -> Kernel:
    """Read a kernel's BTF.

    Args:
        btf_path: A copy of another kernel's /sys/kernel/btf/vmlinux; by default the running kernel's own.
        typed: False for the slower programs that need no typed pointers.

    Raises:
        HostError: There is no BTF, or a member without which no wait can be measured.
    """
    with Btf(btf_path) as btf:
        offsets = {member.name: _required(btf, member) for member in REQUIRED}
        offsets["css_set_cpu_css"] = offsets.pop("css_set_subsys") + 8 * _cpu_subsystem(btf)
        throttling = _add_optional(btf, offsets, THROTTLE_COUNT, THROTTLED_TIME)
        _add_optional(btf, offsets, THROTTLED_SINCE)
        _add_optional(btf, offsets, THROTTLED_TASK)
        _add_optional(btf, offsets, SCHED_DELAYED)
        stolen = any(btf.offset(*place) is not None for place in STOLEN_ACCOUNTING)
        stolen = stolen and _add_optional(btf, offsets, CLOCK_TASK)
        params = btf.tracepoint_params("sched_switch")
        if params is None:
            raise HostError("the kernel has no sched_switch tracepoint", "CONFIG_TRACEPOINTS=y")
        return Kernel(
            offsets=offsets,
            switch_args=switch_arguments(params),
            typed=typed,
            attach_ids=_attach_ids(btf),
            throttling=throttling,
            stolen=stolen,
        )


def possible_cpus(path: Path = Path("/sys/devices/system/cpu/possible")) -> int:
    """One more than the highest number a CPU may ever have; numbers may have holes, and CPUs may come later."""
    return int(re.split("[,-]", path.read_text(encoding="ascii").strip())[-1]) + 1


def sees_all_tasks(root: Path = Path("/")) -> bool:
    """Whether this process is in the host's PID namespace: task iterators and /proc show only what is in one's own."""
    try:
        return (root / "proc/self/ns/pid").stat().st_ino == _FIRST_PID_NAMESPACE
    except OSError:  # a tree that is not the running host's
        return True


def require_all_tasks(root: Path = Path("/")) -> None:
    """Refuse to measure from a PID namespace of its own: a thread there ran 781 ms in a window of 500, two not at all.

    With JOSTLE_ALLOW_PID_NAMESPACE=1 in the environment it is allowed, for tests of the service in a container: the
    first windows, and those of who does not switch, are then wrong for tasks outside of it.

    Raises:
        HostError: This process sees only some of the host's tasks.
    """
    if not sees_all_tasks(root) and os.environ.get("JOSTLE_ALLOW_PID_NAMESPACE") != "1":
        raise HostError(
            "in a PID namespace of its own jostle sees only that namespace's tasks",
            "give its container the host's (docker --pid=host, Kubernetes hostPID: true), or record with --tier psi",
        )


def switch_arguments(params: list[Param]) -> dict[str, int]:
    """Where sched_switch passes what: (preempt, prev, next) and, since fa2c3254d7cf (5.18), prev_state.

    The state was passed second for one release and last ever after (9c2136be0878), so it is told by its type.
    """
    tasks = [
        i for i, param in enumerate(params) if param.kind == KIND_PTR and param.points_to == "task_struct"
    ]
    scalars = [i for i, param in enumerate(params) if param.kind != KIND_PTR]
    if len(tasks) != 2 or not 1 <= len(scalars) <= 2 or scalars[0] != 0:
        raise HostError("sched_switch has parameters that are not known", "report the kernel's version")
    found = {"preempt": 0, "prev": tasks[0], "next": tasks[1]}
    return found if len(scalars) == 1 else {**found, "prev_state": scalars[1]}


def _attach_ids(btf: Btf) -> dict[str, int]:
    ids = {
        name: btf.type_id(target, KIND_TYPEDEF if target.startswith("btf_trace_") else KIND_FUNC)
        for name, target in ATTACHED_TO.items()
    }
    missing = [name for name, type_id in ids.items() if type_id is None]
    if missing:
        raise HostError(f"the kernel lacks what {missing[0]} attaches to", "run kernel 5.10 or newer")
    return {name: type_id for name, type_id in ids.items() if type_id is not None}


def _offset(btf: Btf, member: Member) -> int | None:
    found = (btf.offset(struct, path) for struct, path in member.places)
    return next((offset for offset in found if offset is not None), None)


def _required(btf: Btf, member: Member) -> int:
    offset = _offset(btf, member)
    if offset is None:
        struct, path = member.places[0]
        raise HostError(f"the kernel has no {struct}.{path}", member.remedy)
    return offset


def _add_optional(btf: Btf, offsets: dict[str, int], *members: Member) -> bool:
    found = {member.name: _offset(btf, member) for member in members}
    present = {name: offset for name, offset in found.items() if offset is not None}
    if len(present) < len(members):
        return False
    offsets.update(present)
    return True


def _cpu_subsystem(btf: Btf) -> int:
    value = btf.enum_value("cgroup_subsys_id", "cpu_cgrp_id")
    if value is None:
        raise HostError("the kernel has no cpu cgroup controller", "CONFIG_CGROUP_SCHED=y")
    return value
