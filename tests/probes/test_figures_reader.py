"""The readers over memory that a test writes as the kernel would."""

from hypothesis import given
from hypothesis import strategies as st

from probes.figures_reader import SlotReader
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import SchedFigures
from tests.probes.memory import SMALL, Cells

GROWTHS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1)), min_size=1, max_size=12)


def read(reader: SlotReader, slots: list[int]) -> dict[int, SchedFigures]:
    for row in range(SMALL.cpus + 1):
        reader.take_in(row, slots, reader.copy(row, slots))
    return reader.figures(slots)


@given(GROWTHS)
def test_totals_survive_the_wrap_of_the_kernels_counters(growths: list[tuple[int, int]]) -> None:
    cells, truth = Cells(), [0, 0]
    reader = SlotReader(cells.array, SMALL)
    for row, growth in growths:
        truth[row] += growth
        cells.write(
            row,
            5,
            histogram=(truth[row],),
            run_ns=truth[row],
            switches_in=truth[row],
            preempted_throttled=truth[row],
        )
        figures = read(reader, [5])[5]
        assert figures.switches_in == figures.preempted_throttled == figures.run_ns == sum(truth)
        assert figures.histogram == (sum(truth), *[0] * (NR_BUCKETS - 1))
    assert reader.cpu_run_ns[:2] == truth


def test_figures_are_in_the_order_of_the_kernels_side() -> None:
    assert SchedFigures._fields == (*FIELDS, "histogram")


def test_throttled_waiting_is_not_the_cpus() -> None:
    cells = Cells()
    reader = SlotReader(cells.array, SMALL)
    cells.write(1, 7, wait_ns=1000, throttled_ns=300)
    read(reader, [7])[7]
    assert reader.cpu_wait_ns == [0, 700, 0]


def test_what_did_not_change_is_the_same_object() -> None:
    cells = Cells()
    reader = SlotReader(cells.array, SMALL)
    cells.write(0, 4, run_ns=1)
    assert read(reader, [4])[4] is read(reader, [4])[4]
    assert read(reader, [9])[9].run_ns == 0


def test_a_cleared_slot_begins_anew_and_the_cpus_totals_stay() -> None:
    cells = Cells()
    reader = SlotReader(cells.array, SMALL)
    cells.write(0, 4, run_ns=100, switches_in=3)
    cells.write(0, 5, run_ns=7)
    read(reader, [4])[4]
    read(reader, [5])
    reader.clear([4])
    assert read(reader, [4])[4].run_ns == read(reader, [4])[4].switches_in == 0
    cells.write(0, 4, run_ns=20)
    assert read(reader, [4])[4].run_ns == 20
    assert read(reader, [5])[5].run_ns == 7
    assert reader.cpu_run_ns[0] == 127
