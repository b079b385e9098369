"""One verdict of each kind, as full as an experiment makes it, and one whose every name is hostile."""

from msgspec.structs import replace

from agent.analysis.advice import Advice
from agent.analysis.top import DID_NOT_WAIT, NEVER_WAITED
from agent.documents.blame import BlameSummary, Charge, WaitPart
from agent.documents.capabilities import Capability, Counting
from agent.documents.now import HostNow, Reason, Sufferer
from agent.documents.summary import CorunWith, RunMatrix, WaitBy, Waiting, Waits, WorkloadSummary
from agent.documents.tasks import TaskShare
from agent.documents.top import NO_HISTORY, LiveRow, LiveTable, Lot, Sort, Usual
from agent.documents.verdict import (
    Aggressor,
    Cause,
    CauseKind,
    Conclusion,
    Effect,
    Quality,
    SelfCost,
    Verdict,
)
from agent.documents.verdict_parts import (
    Arm,
    Blame,
    Confirmation,
    DataFile,
    Efficiency,
    Experiment,
    Host,
    Pair,
    SecondaryMetric,
    SweepPoint,
    Trial,
    WaitHistograms,
    WaitMatrix,
    Witness,
)
from agent.recording.counting_cost import uncounted
from tests.agent.analysis.summaries import DETAILS, HOST, SUMMARY
from tests.reports.episodes import EPISODES, hostile_episodes

# Seconds without and with the neighbours, block by block.
MEASURED_S = (
    (1.02, 1.61),
    (0.99, 1.58),
    (1.05, 1.63),
    (1.01, 1.66),
    (1.04, 1.55),
    (0.98, 1.6),
    (1.03, 1.64),
    (1.0, 1.57),
)
VICTIM, NEIGHBOUR = "/jostle.slice/victim", "/jostle.slice/neighbour-1"
NAME = "neighbour-1 stress-ng"
EDGES_NS = tuple(1000.0 * 4**step for step in range(9))


def pairs() -> tuple[Pair, ...]:
    return tuple(
        Pair(block, without, with_, 100 * (with_ / without - 1))
        for block, (without, with_) in enumerate(MEASURED_S)
    )


def trial(index: int, arm: Arm, void: str | None = None) -> Trial:
    block = index // 2
    duration_s = MEASURED_S[block][arm is Arm.WITH]
    wait_ns = 512_400_000 + 9_000_000 * block if arm is Arm.WITH else 8_200_000 + 100_000 * block
    return Trial(
        index,
        block,
        arm,
        duration_s,
        {"duration": duration_s},
        void,
        wait_ns,
        981_000_000,
        0,
        40 * (block + 1),
    )


def order() -> tuple[Arm, ...]:
    blocks = [
        (Arm.WITH, Arm.WITHOUT),
        (Arm.WITHOUT, Arm.WITH),
        (Arm.WITHOUT, Arm.WITH),
        (Arm.WITH, Arm.WITHOUT),
    ] * 2
    return tuple(arm for block in blocks for arm in block)


EXPERIMENT = Experiment(
    command=(
        "jostle",
        "experiment",
        "--victim",
        "./serve --once",
        "--neighbour",
        "stress-ng --cpu 2",
        "--seed",
        "42",
    ),
    seed=42,
    order=order(),
    victim="./serve --once",
    neighbours=("stress-ng --cpu 2",),
    metrics=("duration", "p99=p99 ([0-9.]+):lower", "rate=rate ([0-9.]+):higher"),
    cpus="0-1",
    started="2025-03-04T10:20:30+00:00",
    duration_s=41.7,
    jostle_version="0.1.0",
)

INTERFERENCE = Verdict(
    verdict=Conclusion.INTERFERENCE,
    reason=f"{NAME} slows ./serve by 57.8 % (95 % interval 51.2 to 64.0 %), mostly by cpu-wait.",
    effect=Effect(
        "duration", "s", "lower", 1.0149, 1.6049, 57.8123, (51.2345, 64.0), 0.00213, 2.0999, 5.0, 8
    ),
    causes=(
        Cause(CauseKind.CPU_WAIT, 86.44, (80.04, 91.26)),
        Cause(CauseKind.PREEMPTION, 6.32, (4.1, 8.9)),
        Cause(CauseKind.MICROARCHITECTURE, 3.12, (-0.44, 6.9)),
        Cause(CauseKind.UNEXPLAINED, 4.12),
    ),
    aggressors=(
        Aggressor(NEIGHBOUR, NAME, 82.04, CauseKind.CPU_WAIT, witness=Witness.SEEN),
        Aggressor("/system.slice/cron.service", "cron.service", 4.4, CauseKind.CPU_WAIT, witness=Witness.SEEN),
        Aggressor("kernel", "kernel", 2.4, CauseKind.PREEMPTION, witness=Witness.SEEN),
    ),
    quality=Quality(
        ok=True, tier="ebpf", warnings=(), blame_residual_pct=0.36, discarded=0, pmu="no hardware PMU",
        blame_sampled_pct=12.345,
    ),
    self_cost=SelfCost(ns_per_switch=239.74, switches_per_s=12034.6, cpu_pct=0.28888),
    advice=(Advice.LOWER_WEIGHT, Advice.QUOTA, Advice.PIN_APART),
    victim_cgroup=VICTIM,
    experiment=EXPERIMENT,
    host=HOST,
    metrics=(
        SecondaryMetric("p99", "ms", "lower", 3.21, 11.87, 269.8, (240.1, 301.5), 0.0042),
        SecondaryMetric("rate", "requests/s", "higher", 15834.2, 10061.7, 57.37, (50.9, 63.8), 0.0042),
    ),
    pairs=pairs(),
    trials=tuple(trial(index, arm) for index, arm in enumerate(order())),
    efficiency=Efficiency("CPU time per unit of work", cpu_s_without=0.98214, cpu_s_with=1.00032),
    blame=(
        Blame(NEIGHBOUR, NAME, 505.21, 91.04),
        Blame("/system.slice/cron.service", "cron.service", 34.4, 6.2),
        Blame("kernel", "kernel", 13.3, 2.4),
        Blame("", "unattributed", 2.0, 0.36),
    ),
    matrix=WaitMatrix(
        waiting=("victim", NAME, "cron.service"),
        waited_for=("victim", NAME, "cron.service", "kernel", "everyone else"),
        wait_ms_per_trial=(
            (12.04, 505.21, 34.4, 13.3, 0.0),
            (481.987, 210.5, 1.2, 2.0, 0.25),
            (3.1, 18.2, 0.0, 0.0, 0.0),
        ),
    ),
    histograms=WaitHistograms(
        (*EDGES_NS, None), (5210, 3120, 640, 88, 31, 12, 3, 0, 0, 0),
        (4100, 2200, 910, 402, 390, 811, 1204, 77, 9, 1),
    ),
    sweep=(
        SweepPoint(0.0, 0.2, (-1.9, 2.2), 0.2, 0.0),
        SweepPoint(25.0, 9.8, (7.1, 12.6), 9.8, 0.4992),
        SweepPoint(50.0, 33.4, (30.0, 37.1), 32.1, 0.9981),
        SweepPoint(75.0, 30.9, (26.3, 35.2), 32.1, 1.497),
        SweepPoint(100.0, 57.8, (51.2, 64.0), 57.8, 1.99),
    ),
    confirmed=(Confirmation(NEIGHBOUR, NAME, 52.31, (47.2, 57.9), 6),),
    files=(
        DataFile("verdict.json", "this verdict as one JSON document"),
        DataFile("trials.jsonl", "every trial with all its figures, one line each"),
        DataFile("windows.jsonl", "what every cgroup did, window by window"),
    ),
)  # fmt: skip

NO_INTERFERENCE = replace(
    INTERFERENCE,
    verdict=Conclusion.NO_INTERFERENCE,
    reason="./serve is not slowed by its neighbours: 0.3 % (95 % interval -1.1 to 1.8 %) lies within 5.0 %.",
    effect=Effect("duration", "s", "lower", 1.0149, 1.018, 0.31, (-1.1, 1.8), 0.61, 2.1, 5.0, 8),
    causes=(),
    aggressors=(),
    advice=(),
    metrics=None,
    pairs=None,
    trials=None,
    blame=None,
    matrix=None,
    histograms=None,
    sweep=None,
    confirmed=None,
)

SELF_INFLICTED = replace(
    NO_INTERFERENCE,
    verdict=Conclusion.SELF_INFLICTED,
    efficiency=Efficiency(
        "cycles per instruction",
        cpu_s_without=0.98214,
        cpu_s_with=1.4203,
        ipc_without=1.8312,
        ipc_with=1.2711,
        llc_misses_without=0.8123,
        llc_misses_with=3.9041,
    ),
    reason="./serve is slower by 31.0 %, but because its own CPU quota stops it, not because of a neighbour.",
    effect=Effect("rate", "requests/s", "higher", 15834.2, 12087.0, 31.0, (27.9, 34.3), 0.0078, 3.3, 5.0, 8),
    causes=(
        Cause(CauseKind.THROTTLED, 88.0, (81.0, 94.0)),
        Cause(CauseKind.SELF, 9.0, (5.0, 12.0)),
        Cause(CauseKind.UNEXPLAINED, 3.0),
    ),
    advice=(Advice.RAISE_OWN_QUOTA,),
)

INCONCLUSIVE = replace(
    NO_INTERFERENCE,
    verdict=Conclusion.INCONCLUSIVE,
    reason="8 pairs leave between -3.9 and 12.2 %; about 20 more pairs would decide.",
    effect=Effect("duration", "s", "lower", 1.0149, 1.06, 4.4, (-3.9, 12.2), 0.21, 9.7, 5.0, 8),
    causes=(Cause(CauseKind.CPU_WAIT, 120.5, (60.0, 181.0)), Cause(CauseKind.UNEXPLAINED, -20.5)),
    quality=Quality(
        ok=False,
        tier="schedstat",
        warnings=("The machine drifted by 12 % during the experiment.", "2 trials were void."),
        blame_residual_pct=None,
        discarded=2,
        pmu="unavailable: no hardware PMU",
    ),
    unavailable={
        "quality.blame_residual_pct": "waits cannot be charged to anyone without the scheduler probe"
    },
    advice=(Advice.MORE_PAIRS, Advice.LONGER_TRIALS, Advice.QUIETER_MACHINE, Advice.FULL_TIER),
)

PARTIAL = replace(
    INCONCLUSIVE,
    reason="Interrupted after the first trial; 1 pair and more are needed to begin with.",
    effect=None,
    causes=(),
    self_cost=None,
    partial=True,
    unavailable={
        "effect": "no pair was finished",
        "quality.blame_residual_pct": "no pair was finished",
        "self_cost": "it is read at the end of the first pair",
    },
    experiment=replace(EXPERIMENT, order=order()[:1], cpus=None, duration_s=1.7),
    pairs=(),
    trials=(trial(0, Arm.WITH, void="interrupted"),),
)

EVIL = "<script>alert(1)</script>\x1b[31m|`**[x](http://evil.example)\n\u202e\udcff$x$@all"

HOSTILE = replace(
    INTERFERENCE,
    reason=f"{EVIL} slows {EVIL}.",
    aggressors=(Aggressor(f"/{EVIL}", EVIL, 91.0, CauseKind.CPU_WAIT),),
    blame=(Blame(f"/{EVIL}", EVIL, 505.21, 91.04),),
    matrix=WaitMatrix((EVIL,), (EVIL, "kernel"), ((1.0, 2.0),)),
    confirmed=(Confirmation(f"/{EVIL}", EVIL, 52.3, (47.2, 57.9), 6),),
    quality=replace(INTERFERENCE.quality, tier=EVIL, pmu=EVIL, warnings=(EVIL,)),
    metrics=(SecondaryMetric(EVIL, EVIL, "lower", 1.0, 2.0, 100.0, None, None),),
    experiment=replace(
        EXPERIMENT, command=("jostle", EVIL), victim=EVIL, neighbours=(EVIL,), metrics=(EVIL,)
    ),
    host=Host(EVIL, EVIL, 2, EVIL, EVIL, EVIL),
    trials=(replace(trial(0, Arm.WITH), void=EVIL),),
    files=(DataFile(EVIL, EVIL),),
    advice=(EVIL,),
)

VERDICTS = {
    "interference": INTERFERENCE,
    "no-interference": NO_INTERFERENCE,
    "self-inflicted": SELF_INFLICTED,
    "inconclusive": INCONCLUSIVE,
    "partial": PARTIAL,
    "hostile": HOSTILE,
}

HOSTILE_RUN = replace(
    SUMMARY,
    host=replace(HOST, hostname=EVIL),
    cgroups=(
        replace(
            SUMMARY.cgroups[0],
            path=EVIL,
            name=EVIL,
            wait_by=(WaitBy(EVIL, 7),),
            corun_with=(CorunWith(EVIL, 1, 2),),
            workload=WorkloadSummary("container", EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL),
        ),
    ),
    warnings=(EVIL,),
    partial=True,
    lost_windows=3,
    details=replace(
        DETAILS,
        by_length=(Waits(EVIL, DETAILS.by_length[0].waits),),
        over_time=(Waiting(EVIL, DETAILS.over_time[0].mean_waiting),),
        matrix=RunMatrix((EVIL,), (EVIL,), ((7,),)),
    ),
)
RUNS = {
    "run": SUMMARY,
    "run-hostile": replace(HOSTILE_RUN, events=hostile_episodes(EVIL)),
    "run-events": replace(SUMMARY, events=EPISODES),
    "run-no-events": replace(SUMMARY, events=()),
}

LIMIT_BATCH = "give batch.service a quota (cpu.max, in Kubernetes a CPU limit), other CPUs or another host"
BLAME = BlameSummary(
    cgroup="/kubepods.slice/api",
    name="prod/api-7f/app",
    duration_s=5.0012,
    tier="ebpf",
    run_ms=3012.44,
    wait_ms=1234.5678,
    wait_p99_ns=7_900_000.0,
    preempted=412,
    parts=(
        WaitPart(Charge.CGROUP, "batch.service", 811.5678, 65.7366, 300, "/system.slice/batch.service"),
        WaitPart(Charge.THROTTLED, "throttled", 200.0, 16.2, 7),
        WaitPart(Charge.SELF, "self", 100.0, 8.1, 51),
        WaitPart(Charge.CGROUP, "/plain", 60.0, 4.86, 2, "/plain"),
        WaitPart(Charge.REST, "rest", 30.0, 2.43, 1),
        WaitPart(Charge.KERNEL, "kernel", 20.0, 1.62, 110),
        WaitPart(Charge.OTHER, "other", 10.0, 0.81, 0),
        WaitPart(Charge.WAKEUP, "wakeup", 2.0, 0.162, None),
        WaitPart(Charge.UNATTRIBUTED, "unattributed", 1.0, 0.081, None),
    ),
    partial=False,
    warnings=("3 cgroups found no slot and are counted together as 'other'",),
    sampled_pct=12.3456,
    advice=(LIMIT_BATCH,),
)
BLAMES = {
    "blame": BLAME,
    "blame-never-waited": replace(BLAME, wait_ms=0.0, wait_p99_ns=None, parts=(), warnings=(), advice=()),
    "blame-hostile": replace(
        BLAME,
        cgroup=f"/{EVIL}",
        name=EVIL,
        tier=EVIL,
        parts=(WaitPart(Charge.CGROUP, EVIL, 5.0, 100.0, 2, f"/{EVIL}"),),
        partial=True,
        warnings=(EVIL,),
    ),
}

API, BATCH = "/kubepods.slice/api", "/system.slice/batch.service"
TOP = LiveTable(
    hostname="node-7",
    cpus=2,
    duration_s=1.0012,
    sort=Sort.LOST,
    cgroups=(
        LiveRow(
            "/starved", "/starved", Lot.STARVED, 0.9988, 0.0, 0.9988, 1_000_000_000, 0, None, None, 0.0,
            WaitPart(Charge.CGROUP, "batch.service", 992.0, 99.2, 0, BATCH), 1.0, None, 0.0, 0,
        ),
        LiveRow(
            API, "prod/api-7f/app", Lot.SUFFERS, 0.862, 0.6113, 0.1848, 251_000_000, 612_000_000, 12_500.0,
            7_900_000.0, 83.5, WaitPart(Charge.CGROUP, "batch.service", 182.0, 72.5, 70, BATCH), 0.21, None,
            41_000_000.0, 0,
        ),
        LiveRow(
            BATCH, "batch.service", Lot.FINE, 1.249, 1.2485, 0.0005, 500_000, 1_250_000_000, 910.0, 2_050_000.0,
            3.2, WaitPart(Charge.KERNEL, "kernel", 0.4, 80.0, 3), 0.0005, None, 0.0, 0,
        ),
        LiveRow(
            "/quiet", "/quiet", Lot.FINE, 0.001, 0.001, 0.0, 0, 1_000_000, None, None, 0.0, None, 0.0, None, 0.0, 0,
        ),
    ),
    warnings=("3 cgroups found no slot and are counted together as 'other'",),
    unavailable={
        "wait_p50_ns": DID_NOT_WAIT,
        "wait_p99_ns": DID_NOT_WAIT,
        "waited_for": NEVER_WAITED,
        "ipc": "no hardware PMU",
    },
)  # fmt: skip
USUAL = Usual(0.0204, 0.1012, 97)
WITHIN = (TaskShare("kswapd0", 71, 1, 212.0, 61.2), TaskShare("kworker events", 12, 3, 90.0, 26.0))
OF_HISTORY = "the last day of this host's history (96 of its 8640 windows)"
TOPS = {
    "top": TOP,
    "top-usual": replace(
        TOP,
        cgroups=(
            replace(TOP.cgroups[0], usual=USUAL),
            replace(TOP.cgroups[1], waited_for=WaitPart(Charge.CGROUP, "/", 182.0, 72.5, 70, "/", WITHIN)),
            replace(TOP.cgroups[2], waited_for=WaitPart(Charge.KERNEL, "kernel", 0.4, 80.0, 3, None, WITHIN)),
        ),
        advice=(LIMIT_BATCH,),
        history=OF_HISTORY,
    ),
    "top-devices": replace(
        TOP,
        cgroups=(
            TOP.cgroups[0],
            replace(TOP.cgroups[1], disk_behind_ns_per_s=61_200_000.0),
            replace(TOP.cgroups[2], disk_behind_ns_per_s=0.0, network_behind_ns_per_s=1_840_000.0),
        ),
    ),
    "top-idle": replace(TOP, cgroups=(), warnings=(), unavailable={}),
    "top-hostile": replace(
        TOP,
        hostname=EVIL,
        cgroups=tuple(
            replace(row, cgroup=EVIL, name=EVIL, waited_for=WaitPart(Charge.CGROUP, EVIL, 1.0, 9.0, 1, EVIL))
            for row in TOP.cgroups[:2]
        ),
        warnings=(EVIL,),
        unavailable={**TOP.unavailable, "ipc": EVIL},
    ),
}

NOW = HostNow(
    hostname="node-7",
    cpus=2,
    duration_s=10.0012,
    busy_cpus=1.9923,
    cgroups=42,
    sufferers=(
        Sufferer(
            API, "prod/api-7f/app", Lot.SUFFERS, 1.9, 0.3, 1.5, 7_900_000.0,
            (
                WaitPart(Charge.SELF, "self", 9000.0, 60.0, 10),
                WaitPart(Charge.CGROUP, "batch.service", 6000.0, 40.0, 300, BATCH),
            ),
            Reason.FULL, (LIMIT_BATCH,), (0, 1), weight=39,
            others_weight=100, had_pct=16.7, promised_pct=28.1, is_below_promise=True, usual=USUAL,
            confirm=("jostle", "experiment", "--victim-cgroup", API, "--neighbour-cgroup", BATCH, "--allow-freeze"),
        ),
        Sufferer(
            "/starved", "/starved", Lot.STARVED, 1.0, 0.0, 1.0, None,
            (WaitPart(Charge.CGROUP, "/", 10000.0, 100.0, 0, "/", WITHIN),), Reason.PINNED,
            ("let /starved run on CPU 0 too",), (1,), (0,),
        ),
        Sufferer(
            BATCH, "batch.service", Lot.QUOTA, 2.0, 0.5, 0.0, 90_000_000.0,
            (WaitPart(Charge.THROTTLED, "throttled", 15000.0, 100.0, 9),), Reason.QUOTA,
            ("raise the quota of /system.slice",), quota_cgroup="/system.slice", quota_cpus=0.5,
        ),
    ),
    untold=(),
    partial=False,
    warnings=("3 cgroups found no slot and are counted together as 'other'",),
    history=OF_HISTORY,
)  # fmt: skip
NOWS = {
    "now": NOW,
    "now-idle": replace(NOW, sufferers=(), warnings=(), history=NO_HISTORY),
    "now-untold": replace(NOW, sufferers=(), untold=(EVIL,), partial=True),
    "now-hostile": replace(
        NOW,
        hostname=EVIL,
        sufferers=(
            replace(
                NOW.sufferers[0],
                cgroup=EVIL,
                name=EVIL,
                behind=(
                    WaitPart(Charge.CGROUP, EVIL, 1.0, 9.0, 1, EVIL, (TaskShare(EVIL, 1, 2, 3.0, 4.0),)),
                ),
                advice=(EVIL,),
            ),
            replace(NOW.sufferers[2], quota_cgroup=EVIL),
        ),
        warnings=(EVIL,),
        history=EVIL,
    ),
}

DOCTORS = {
    "doctor": (
        (
            Capability("run-queue wait", "available", ""),
            Capability(
                "pressure stall",
                "degraded",
                "the kernel was started without psi=1",
                "add psi=1 to its command line",
            ),
            Capability(
                "hardware counters",
                "missing",
                "no hardware PMU",
                "use bare metal, or a guest with a virtual PMU",
            ),
        ),
        Counting(
            ("cpu-clock", "page-faults"), hardware=False, ns_per_change=212.44, reason="no hardware PMU"
        ),
    ),
    "doctor-all": (
        (Capability("run-queue wait", "available", ""),),
        Counting(("cycles", "instructions"), hardware=True, ns_per_change=346.1),
    ),
    "doctor-none": ((Capability(EVIL, "missing", EVIL, EVIL),), uncounted(EVIL)),
}
