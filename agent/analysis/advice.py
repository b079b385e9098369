"""What to do about a verdict: a closed set of sentences, and the rule that picks among them."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from agent.documents.verdict import Cause, CauseKind, Compared, Conclusion, Effect, Quality
from agent.documents.verdict_parts import Blocked

# A cause below this share of the slowdown is not worth a change to the system.
WORTH_ADVICE_PCT = 15.0


class Advice(StrEnum):
    """Every sentence of advice there is."""

    LOWER_WEIGHT = (
        "Lower the neighbour's cpu.weight (in Kubernetes its CPU request) so that the victim goes first."
    )
    QUOTA = "Give the neighbour a CPU quota (cpu.max, in Kubernetes a CPU limit) below what the host has to spare."
    PIN_APART = "Pin victim and neighbour to different CPUs (cpuset.cpus, in Kubernetes the static CPU manager policy)."
    CORES_APART = (
        "Keep the neighbour off the sibling threads of the victim's cores "
        "(core scheduling, in Kubernetes full-pcpus-only)."
    )
    RESCTRL = "Limit the neighbour's share of cache and memory bandwidth through resctrl, where the CPU supports it."
    ANOTHER_NODE = "Place the neighbour on another node."
    FIX_FREQUENCY = (
        "Fix the CPU frequency (performance governor), or keep wide-vector neighbours off this socket."
    )
    DEDICATED_HOST = "The hypervisor took the CPU away: ask for dedicated CPUs or move to another host."
    MOVE_INTERRUPTS = "Steer interrupts away from the victim's CPUs (smp_affinity, irqbalance bans)."
    LIMIT_IO = "Limit the neighbour's I/O (io.max or io.weight), or give the victim a device of its own."
    LIMIT_NETWORK = (
        "Give the victim's packets a queue of their own (tc: fq_codel), or limit what others send."
    )
    PROTECT_MEMORY = "Protect the victim's memory (memory.low) and bound the neighbour's (memory.high)."
    RAISE_OWN_QUOTA = (
        "Ask for a larger CPU quota for the victim or its parent: it is stopped by its own limit."
    )
    FEWER_THREADS = "Run fewer threads in the victim, or give it more CPUs: it waits for itself."
    HARDWARE_COUNTERS = (
        "Repeat on a machine with hardware counters to tell cache, bandwidth, SMT and frequency apart."
    )
    FULL_TIER = "Repeat as root on a kernel with BTF, so that waits are charged to those who caused them."
    MORE_PAIRS = "Run more pairs (--pairs, --max-pairs)."
    OTHER_LOCK = (
        "The victim sleeps on a file lock: give it a file of its own, or have it held for a shorter time."
    )
    OTHER_END = "The victim sleeps on a pipe or a socket: look at the process at its other end."
    OWN_LOCKS = "The victim sleeps on a lock in memory: look at which of its threads holds it, and what that waits for."
    OWN_SLEEP = "The victim sleeps because it asks to: look at what makes it pause or try again."
    OFF_CPU = "The victim sleeps on what jostle cannot tell: read its stacks while it does (/proc/PID/stack)."
    LONGER_TRIALS = "Make the trials longer, so that each averages over more of the noise."
    LONGER_RECORDINGS = "Record longer, or run an experiment, which can tell more from as much time."
    QUIETER_MACHINE = (
        "Use a quieter machine: without any neighbour, the victim varies more than the threshold."
    )


REMEDIES: dict[CauseKind, tuple[Advice, ...]] = {
    CauseKind.CPU_WAIT: (Advice.LOWER_WEIGHT, Advice.QUOTA, Advice.PIN_APART),
    CauseKind.PREEMPTION: (Advice.PIN_APART, Advice.LOWER_WEIGHT),
    CauseKind.MICROARCHITECTURE: (Advice.RESCTRL, Advice.ANOTHER_NODE, Advice.HARDWARE_COUNTERS),
    CauseKind.CACHE: (Advice.RESCTRL, Advice.ANOTHER_NODE),
    CauseKind.MEMORY_BANDWIDTH: (Advice.RESCTRL, Advice.ANOTHER_NODE),
    CauseKind.SMT: (Advice.CORES_APART, Advice.ANOTHER_NODE),
    CauseKind.FREQUENCY: (Advice.FIX_FREQUENCY, Advice.ANOTHER_NODE),
    CauseKind.THROTTLED: (Advice.RAISE_OWN_QUOTA,),
    CauseKind.STEAL: (Advice.DEDICATED_HOST,),
    CauseKind.INTERRUPTS: (Advice.MOVE_INTERRUPTS,),
    CauseKind.IO: (Advice.LIMIT_IO, Advice.ANOTHER_NODE),
    CauseKind.NETWORK: (Advice.LIMIT_NETWORK, Advice.ANOTHER_NODE),
    CauseKind.MEMORY_PRESSURE: (Advice.PROTECT_MEMORY, Advice.ANOTHER_NODE),
    CauseKind.SELF: (Advice.FEWER_THREADS,),
    CauseKind.UNEXPLAINED: (),  # by what it slept on
}
OF_SLEEP = {
    "file lock": Advice.OTHER_LOCK,
    "futex": Advice.OWN_LOCKS,
    "semaphore": Advice.OWN_LOCKS,
    "pipe": Advice.OTHER_END,
    "socket": Advice.OTHER_END,
    "events": Advice.OTHER_END,
    "sleep": Advice.OWN_SLEEP,
    "disk": Advice.LIMIT_IO,
}


OF_AN_EXPERIMENT = frozenset({Advice.MORE_PAIRS, Advice.LONGER_TRIALS})
"""What nobody can do about a recording."""


def advise(
    conclusion: Conclusion,
    causes: Sequence[Cause],
    effect: Effect | None,
    quality: Quality,
    compared: Compared | None = None,
    *,
    blocked: Sequence[Blocked] = (),
) -> list[Advice]:
    """The sentences that fit, the most useful first, each once; none when there is nothing to do."""
    match conclusion:
        case Conclusion.INTERFERENCE | Conclusion.SELF_INFLICTED:
            found = [*_remedies(causes, blocked), *_better_measurement(quality)]
        case Conclusion.INCONCLUSIVE:
            found = [Advice.MORE_PAIRS, *_less_noise(effect), *_better_measurement(quality)]
        case Conclusion.NO_INTERFERENCE:
            found = []
    if compared is not None:
        found = [Advice.LONGER_RECORDINGS if each in OF_AN_EXPERIMENT else each for each in found]
    return list(dict.fromkeys(found))


def _remedies(causes: Sequence[Cause], blocked: Sequence[Blocked]) -> Iterable[Advice]:
    heaviest_first = sorted(causes, key=lambda cause: cause.share_pct, reverse=True)
    for cause in heaviest_first:
        if cause.share_pct >= WORTH_ADVICE_PCT:
            yield from REMEDIES[cause.cause]
            if cause.cause is CauseKind.UNEXPLAINED:
                longer = [row.on for row in blocked if row.with_s > row.without_s]
                yield OF_SLEEP.get(longer[0], Advice.OFF_CPU) if longer else Advice.OFF_CPU


def _less_noise(effect: Effect | None) -> Iterable[Advice]:
    floor_pct = None if effect is None else effect.noise_floor_pct
    if effect is not None and floor_pct is not None and floor_pct > effect.threshold_pct:
        return [Advice.LONGER_TRIALS, Advice.QUIETER_MACHINE]
    return []


def _better_measurement(quality: Quality) -> Iterable[Advice]:
    return [] if quality.tier == "ebpf" else [Advice.FULL_TIER]
