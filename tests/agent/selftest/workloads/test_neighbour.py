import os
import signal

import psutil
import pytest

from agent.selftest.workloads.neighbour import MODES
from tests.agent.selftest.workloads.running import becomes_true, children, has_ended, neighbour


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def voluntary_switches(process: psutil.Process) -> int:
    return int(process.num_ctx_switches().voluntary)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_at_once_with_all_its_processes(mode: str, signum: signal.Signals) -> None:
    with neighbour(mode, "--processes", "2", "--buffer-mib", "1") as process:
        workers = children(process)
        assert len(workers) == 2
        process.send_signal(signum)
        assert process.wait() == -signum
        assert becomes_true(lambda: all(has_ended(worker) for worker in workers))


@pytest.mark.parametrize(("mode", "asked", "started"), [("spin", 1, 1), ("idle", 3, 3), ("switch", 3, 4)])
def test_the_number_of_processes(mode: str, asked: int, started: int) -> None:
    with neighbour(mode, "--processes", f"{asked}") as process:
        assert len(children(process)) == started


def test_by_default_there_is_one_process_per_usable_cpu() -> None:
    with neighbour("idle") as process:
        assert len(children(process)) == len(os.sched_getaffinity(0))


def test_spin_uses_cpu_time_and_idle_does_not() -> None:
    with neighbour("idle", "--processes", "1") as still, neighbour("spin", "--processes", "1") as busy:
        (idler,), (spinner,) = children(still), children(busy)
        assert becomes_true(lambda: cpu_s(spinner) >= 0.2)
        assert cpu_s(idler) < 0.1


def test_switch_switches() -> None:
    with neighbour("switch", "--processes", "2") as process:
        pair = children(process)
        assert becomes_true(lambda: all(voluntary_switches(player) > 1000 for player in pair))


def test_cache_reads_a_buffer_of_its_own() -> None:
    with neighbour("cache", "--processes", "1", "--buffer-mib", "32") as process:
        (reader,) = children(process)
        assert becomes_true(lambda: reader.memory_info().rss >= 32 * 2**20 and cpu_s(reader) >= 0.05)


def test_bursty_alternates() -> None:
    arguments = ("--processes", "1", "--period-ms", "20", "--duty-pct", "50")
    with neighbour("bursty", *arguments) as process:
        (burster,) = children(process)
        assert becomes_true(lambda: cpu_s(burster) >= 0.05 and voluntary_switches(burster) >= 3)


def test_it_fails_when_one_of_its_processes_is_lost() -> None:
    with neighbour("spin", "--processes", "2") as process:
        workers = children(process)
        workers[0].kill()
        assert process.wait() == 1
        assert process.stderr is not None
        assert process.stderr.read() == f"neighbour: process {workers[0].pid} ended early, with code -9\n"
        assert becomes_true(lambda: has_ended(workers[1]))


def test_random_bursts_are_on_each_cpu_and_sleep_between_them() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with neighbour("random", "--duty-pct", "40") as process:
        workers = children(process)
        assert becomes_true(
            lambda: all(voluntary_switches(each) > 5 and cpu_s(each) > 0.05 for each in workers)
        )
        assert sorted(cpu for each in workers for cpu in each.cpu_affinity()) == cpus
