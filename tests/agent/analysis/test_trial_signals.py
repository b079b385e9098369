from agent.analysis.trial_signals import TrialSignals, trial_signals
from collectors.windows.figures import CgroupSignals, CpuSignals
from collectors.windows.signals import HostSignals, SignalWindow

VICTIM, NEIGHBOUR = "/victim", "/neighbour"
NOTHING: CgroupSignals = CgroupSignals(*[None] * len(CgroupSignals._fields))


def window(victim: CgroupSignals, *cpus: CpuSignals) -> SignalWindow:
    neighbour = NOTHING._replace(read_bytes=10, written_bytes=5)
    return SignalWindow(
        cgroups={VICTIM: victim, NEIGHBOUR: neighbour}, host=HostSignals(dict(enumerate(cpus)), {})
    )


def test_what_the_kernel_tells() -> None:
    victim = NOTHING._replace(throttled_own_ns=1, throttled_ancestors_ns=2, io_some_ns=3, memory_some_ns=4)
    cpus = (CpuSignals(5, 0, 0, 2_000_000), CpuSignals(6, 0, 0, 3_000_000))
    assert trial_signals(window(victim, *cpus), VICTIM, [NEIGHBOUR], frequency=True) == TrialSignals(
        throttled_own_ns=1,
        throttled_ancestors_ns=2,
        io_stalled_ns=3,
        memory_stalled_ns=4,
        steal_ns=11,
        frequency_khz=2_500_000.0,
        io_bytes={NEIGHBOUR: 15},
    )


def test_what_it_does_not_tell_is_unavailable() -> None:
    found = trial_signals(window(NOTHING, CpuSignals(None, None, None, None)), VICTIM, [], frequency=True)
    assert found == TrialSignals()
    assert trial_signals(window(NOTHING), "/elsewhere", [], frequency=True) == TrialSignals()


def test_a_frequency_of_the_moment_is_not_one_of_the_trial() -> None:
    cpus = CpuSignals(None, None, None, 800_000)
    assert trial_signals(window(NOTHING, cpus), VICTIM, [], frequency=False).frequency_khz is None
