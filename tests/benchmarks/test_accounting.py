import os
import time

import psutil
import pytest

from benchmarks import accounting, peers
from benchmarks.accounting import RunStats
from tests.benchmarks.recorded import recorded


def test_a_program_tells_its_id_kind_and_accounts() -> None:
    assert accounting.parse_fdinfo(recorded("fdinfo-program.txt")) == (3460, 26, RunStats(18142890, 89672))


@pytest.mark.parametrize("name", ["fdinfo-link.txt", "fdinfo-map.txt"])
def test_what_is_no_program_has_no_accounts(name: str) -> None:
    assert accounting.parse_fdinfo(recorded(name)) is None


def test_context_switches_of_the_machine() -> None:
    assert accounting.parse_context_switches(recorded("stat.txt")) == 147410414


def test_resident_memory_as_recorded() -> None:
    assert accounting.parse_resident_mb(recorded("status.txt")) == pytest.approx(13636 * 1024 / 1e6)


def test_resident_memory_is_what_psutil_says() -> None:
    assert accounting.resident_mb([os.getpid()]) == pytest.approx(
        psutil.Process().memory_info().rss / 1e6, rel=0.1
    )


def test_programs_of_a_process_that_has_ended_are_none() -> None:
    assert accounting.programs([2**22 + 1]) == {}


def test_growth_leaves_out_what_came_in_between() -> None:
    before = {1: RunStats(100, 10), 2: RunStats(5, 1)}
    after = {1: RunStats(300, 30), 2: RunStats(5, 1), 3: RunStats(7, 7)}
    assert accounting.growth(before, after) == [RunStats(200, 20), RunStats(0, 0)]


def test_the_busiest_program_is_the_hook() -> None:
    assert accounting.busiest_ns_per_call([RunStats(9000, 2), RunStats(400, 10)]) == 40
    assert accounting.busiest_ns_per_call([RunStats(0, 0)]) is None
    assert accounting.busiest_ns_per_call([]) is None


@pytest.mark.kernel
def test_an_empty_program_runs_once_per_context_switch_and_is_gone_afterwards() -> None:
    with peers.empty_program() as loaded, accounting.switched_on():
        before, switches = accounting.programs(loaded.pids()), accounting.context_switches()
        for _ in range(3000):  # some 6,000 switches; a guest may hide a handful a second from every tracer
            time.sleep(0.0001)
        after, switches = accounting.programs(loaded.pids()), accounting.context_switches() - switches
    runs = accounting.total(accounting.growth(before, after)).run_count
    assert runs == pytest.approx(switches, rel=0.1)
    assert not set(after) & accounting.all_programs()
