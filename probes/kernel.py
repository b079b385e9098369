"""What differs between kernels, in one place: by presence in BTF, never by version.

`describe` turns the running kernel's type information into the `-D` definitions that `bpf/*.h` are written
against, or says which member is missing and which option would bring it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from probes import block_io, kernel_work, network, reclaim
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

# For block I/O (bpf/block.c). The request's disk went to its queue in f3fa33acca9f (5.17).
BLOCK = (
    Member("request_bio", (("request", "bio"),), "CONFIG_BLOCK=y"),
    Member("request_start_time_ns", (("request", "start_time_ns"),)),
    Member("request_data_len", (("request", "__data_len"),)),
    Member("request_cmd_flags", (("request", "cmd_flags"),)),
    Member("gendisk_major", (("gendisk", "major"),)),
    Member("gendisk_first_minor", (("gendisk", "first_minor"),)),
)
REQUEST_DISK = Member("request_disk", (("request", "rq_disk"),))
QUEUE_DISK = (
    Member("request_queue", (("request", "q"),)),
    Member("request_queue_disk", (("request_queue", "disk"),)),
)
# Whose a request is that a kernel thread makes.
BLOCK_OWNER = (
    Member("bio_blkg", (("bio", "bi_blkg"),), "CONFIG_BLK_CGROUP=y"),
    Member("blkg_blkcg", (("blkcg_gq", "blkcg"),)),
    Member("blkcg_cgroup", (("blkcg", "css.cgroup"),)),
)

# Whose stack a hook runs on, for work that is queued (bpf/kwork.c).
STACK = Member("task_struct_stack", (("task_struct", "stack"),))
# Where interrupts may use it (x86), what tells them from system calls; the helper that finds it: dd6e10fbd9fb (5.15).
SYSTEM_CALL = Member("pt_regs_orig_ax", (("pt_regs", "orig_ax"),))

# For reclaimed memory (bpf/reclaim.c); memory.high has been a counter's own since d1663a907b52 (5.8).
RECLAIM = (
    Member("mem_cgroup_css", (("mem_cgroup", "css"),), "CONFIG_MEMCG=y"),
    Member("mem_cgroup_memory", (("mem_cgroup", "memory"),), "CONFIG_MEMCG=y"),
    Member("page_counter_usage", (("page_counter", "usage"),)),
    Member("page_counter_max", (("page_counter", "max"),)),
    Member("page_counter_high", (("page_counter", "high"),)),
    Member("page_counter_parent", (("page_counter", "parent"),)),
)

# For queues of network devices (bpf/network.c). A socket has named its v2 cgroup alone since 8520e224f547 (5.15), and
# qdisc_enqueue is from 70713dddf3d2 (5.15).
NETWORK = (
    Member("sk_buff_next", (("sk_buff", "next"),), "CONFIG_NET=y"),
    Member("sk_buff_sk", (("sk_buff", "sk"),)),
    Member("sk_buff_dev", (("sk_buff", "dev"),)),
    Member("sk_buff_len", (("sk_buff", "len"),)),
    Member("sock_state", (("sock", "__sk_common.skc_state"),)),
    Member("sock_cgroup", (("sock", "sk_cgrp_data.cgroup"),), "CONFIG_SOCK_CGROUP_DATA=y"),
    Member("netdev_queue_dev", (("netdev_queue", "dev"),)),
    Member("net_device_name", (("net_device", "name"),)),
    Member("net_device_ifindex", (("net_device", "ifindex"),)),
    Member("net_device_net", (("net_device", "nd_net.net"),)),
    Member("net_inum", (("net", "ns.inum"),), "CONFIG_NET_NS=y"),
)
_DROP_REASONS = "skb_drop_reason"
# Why a queue drops: 4a37ef9e37e7 (5.17 has but the first), and those that came beside it.
_QDISC_DROPS = tuple(f"SKB_DROP_REASON_QDISC_{why}" for why in ("DROP", "OVERLIMIT", "CONGESTED"))

# The tracepoints of programs that are there only where the kernel has what they read.
OPTIONAL = {
    "HAVE_BLOCK": block_io.TRACEPOINTS,
    "HAVE_WORK": kernel_work.TRACEPOINTS,
    "HAVE_RECLAIM": reclaim.TRACEPOINTS,
    "HAVE_NETWORK": network.TRACEPOINTS,
}

# What the kernel's type information calls that which each program is attached to.
ATTACHED_TO = {
    "on_switch": "btf_trace_sched_switch",
    "on_migrate": "btf_trace_sched_migrate_task",
    "on_cgroup_mkdir": "btf_trace_cgroup_mkdir",
    "on_cgroup_rmdir": "btf_trace_cgroup_rmdir",
    "on_cgroup_attach": "btf_trace_cgroup_attach_task",
    "on_task": "bpf_iter_task",
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
        block_argument: Which argument of block_rq_issue is the request; None where block I/O cannot be seen.
        work_argument: Which of workqueue_queue_work is the work; None where it cannot be seen who queued it.
        network: Whether the queues of network devices can be seen.
        qdisc_drops: The first and the last reason for which such a queue drops.
        reclaim: Whether it can be seen whose allocations have memory reclaimed.
    """

    offsets: dict[str, int]
    switch_args: dict[str, int]
    typed: bool
    attach_ids: dict[str, int]
    throttling: bool
    stolen: bool
    block_argument: int | None = None
    work_argument: int | None = None
    reclaim: bool = False
    network: bool = False
    qdisc_drops: tuple[int, int] = (0, 0)

    def defines(self) -> dict[str, int]:
        """What the C side is compiled with."""
        return {
            **{f"OFF_{name}": offset for name, offset in self.offsets.items()},
            **{f"ARG_{name.upper()}": index for name, index in self.switch_args.items()},
            "TYPED_POINTERS": int(self.typed),
            "HAVE_THROTTLING": int(self.throttling),
            "HAVE_BLOCK": int(self.block_argument is not None),
            "ARG_REQUEST": self.block_argument or 0,
            "HAVE_WORK": int(self.work_argument is not None),
            "ARG_WORK": self.work_argument or 0,
            "HAVE_RECLAIM": int(self.reclaim),
            "HAVE_NETWORK": int(self.network),
            "DROP_QDISC_FIRST": self.qdisc_drops[0],
            "DROP_QDISC_LAST": self.qdisc_drops[1],
        }

    def optional(self) -> dict[str, dict[str, str]]:
        """Of what this kernel shows beside the scheduler, tracepoints by program; by the name in OPTIONAL."""
        has = self.defines()
        return {name: tracepoints for name, tracepoints in OPTIONAL.items() if has[name]}


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
        subsystems = offsets.pop("css_set_subsys")
        offsets["css_set_cpu_css"] = subsystems + 8 * _cpu_subsystem(btf)
        throttling = _add_optional(btf, offsets, THROTTLE_COUNT, THROTTLED_TIME)
        _add_optional(btf, offsets, THROTTLED_SINCE)
        _add_optional(btf, offsets, THROTTLED_TASK)
        _add_optional(btf, offsets, SCHED_DELAYED)
        stolen = any(btf.offset(*place) is not None for place in STOLEN_ACCOUNTING)
        stolen = stolen and _add_optional(btf, offsets, CLOCK_TASK)
        block_argument, work_argument = _block_argument(btf, offsets), _work_argument(btf, offsets)
        can_see_reclaim = _add_reclaim(btf, offsets, subsystems)
        drops = [value for name in _QDISC_DROPS if (value := btf.enum_value(_DROP_REASONS, name))]
        can_see_queues = _can_see_queues(btf) and bool(drops) and _add_optional(btf, offsets, *NETWORK)
        params = btf.tracepoint_params("sched_switch")
        if params is None:
            raise HostError("the kernel has no sched_switch tracepoint", "CONFIG_TRACEPOINTS=y")
        found = Kernel(
            offsets=offsets,
            switch_args=switch_arguments(params),
            typed=typed,
            attach_ids={},
            throttling=throttling,
            stolen=stolen,
            block_argument=block_argument,
            work_argument=work_argument,
            reclaim=can_see_reclaim,
            network=can_see_queues,
            qdisc_drops=(min(drops), max(drops)) if drops else (0, 0),
        )
        return replace(found, attach_ids=_attach_ids(btf, found.optional()))


def watched_cpus(present: int, possible: int) -> int:
    """How many CPUs to make room for, each with memory of its own: twice those there are, at most all there may be.

    Small guests often may have 240, and have 2; more than so many added while it runs, `SchedProbe.read` tells.
    """
    return min(possible, 2 * present)


def count_cpus(name: str, directory: Path = Path("/sys/devices/system/cpu")) -> int:
    """One more than the highest number of the CPUs that are `present`, or `possible`; numbers may have holes."""
    return int(re.split("[,-]", (directory / name).read_text(encoding="ascii").strip())[-1]) + 1


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


def _block_argument(btf: Btf, offsets: dict[str, int]) -> int | None:
    """Of block_rq_insert and block_rq_issue: the request came after its queue until a54895fa057c (5.11)."""
    params = btf.tracepoint_params("block_rq_issue") or []
    found = next((i for i, param in enumerate(params) if param.points_to == "request"), None)
    if found is None or not _add_optional(btf, offsets, *BLOCK):
        return None
    if not (_add_optional(btf, offsets, REQUEST_DISK) or _add_optional(btf, offsets, *QUEUE_DISK)):
        return None
    _add_optional(btf, offsets, *BLOCK_OWNER)
    return found


def _work_argument(btf: Btf, offsets: dict[str, int]) -> int | None:
    """Of workqueue_queue_work: the work; where all three tracepoints are. It is the first of the others."""
    params = [btf.tracepoint_params(name) or [] for name in kernel_work.TRACEPOINTS.values()]
    works = [
        next((i for i, param in enumerate(each) if param.points_to == "work_struct"), None) for each in params
    ]
    finds = btf.enum_value("bpf_func_id", "BPF_FUNC_task_pt_regs") is not None
    if works[1:] != [0, 0] or (_offset(btf, SYSTEM_CALL) is not None and not finds):
        return None
    if not _add_optional(btf, offsets, STACK):
        return None
    _add_optional(btf, offsets, SYSTEM_CALL)
    return works[0]


def _add_reclaim(btf: Btf, offsets: dict[str, int], subsystems: int) -> bool:
    """Where the memory controller's state is; False where it, or a tracepoint, is not there."""
    memory = btf.enum_value("cgroup_subsys_id", "memory_cgrp_id")
    traced = all(btf.tracepoint_params(name) for name in reclaim.TRACEPOINTS.values())
    if memory is None or not traced or not _add_optional(btf, offsets, *RECLAIM):
        return False
    offsets["css_set_memory_css"] = subsystems + 8 * memory
    return True


def _can_see_queues(btf: Btf) -> bool:
    """Whether the tracepoints of queues pass what is read of them, where it is read."""
    wanted = {
        ("qdisc_enqueue", 1): "netdev_queue",
        ("qdisc_enqueue", 2): "sk_buff",
        ("qdisc_dequeue", 3): "sk_buff",
        ("tcp_retransmit_skb", 0): "sock",
        ("kfree_skb", 0): "sk_buff",
    }
    params = {name: btf.tracepoint_params(name) or [] for name, _ in wanted}
    return all(
        len(params[name]) > place and params[name][place].points_to == struct
        for (name, place), struct in wanted.items()
    )


def _attach_ids(btf: Btf, optional: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    programs = chain.from_iterable(tracepoints.items() for tracepoints in optional.values())
    traced = {name: f"btf_trace_{tracepoint}" for name, tracepoint in programs}
    ids = {
        name: btf.type_id(target, KIND_TYPEDEF if target.startswith("btf_trace_") else KIND_FUNC)
        for name, target in (ATTACHED_TO | traced).items()
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
