"""Rows that are copied while their CPU switches."""

from collections.abc import Sequence

from probes import layout
from probes.row_copier import Copy, RowCopier
from tests.probes.memory import SMALL, zeroed

SLOT, CLOCK, SINCE = 7, 900, 400


class Switching:
    """A host whose CPU 0 switches so many times within each copy, CPU 1 never; it plays both readers."""

    def __init__(self, *switches: int) -> None:
        self._switches = iter(switches)
        self._heads = zeroed((SMALL.cpus + 1) * layout.SIZE_ROW)
        self._count = 0
        self._switch(1)

    def copies(self) -> dict[int, Copy]:
        return RowCopier(self._heads, self, self, SMALL.cpus).copy([SLOT])  # type: ignore[arg-type]  # as far as asked

    def copy(self, row: int, slots: Sequence[int]) -> list[bytes]:
        assert slots == [SLOT]
        return [b"%d: %d" % (row, self._count)]

    def take(self, row: int) -> bytes:
        if row == 0:
            self._switch(next(self._switches))
        return b"%d, " % self._count

    def _switch(self, times: int) -> None:
        self._count += times
        head = (0, SINCE, CLOCK, 0, SLOT, self._count, 0, 0, self._count, 0, 0)
        layout.ROW_HEAD.pack_into(self._heads, 0, *head)


def test_a_copy_that_a_switch_came_into_is_made_again_and_no_growth_is_lost() -> None:
    found = Switching(1, 3, 0).copies()[0]
    assert found == Copy([b"0: 5"], b"2, 5, 5, ", SLOT, CLOCK - SINCE)


def test_where_switches_leave_no_time_for_a_copy_the_first_has_to_do() -> None:
    found = Switching(1000, 0).copies()[0]
    assert found == Copy([b"0: 1"], b"1001, ", SLOT, 0)


def test_copying_ends_where_every_copy_is_disturbed() -> None:
    assert Switching(*[1] * 1000).copies()[0].run_ns == 0


def test_of_the_cpus_only_those_that_have_switched_are_copied() -> None:
    assert Switching(0).copies().keys() == {0, SMALL.cpus}
