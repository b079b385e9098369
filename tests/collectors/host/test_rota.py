"""Whose turn it is to be read again: nobody is forgotten, and no pass reads many more than others."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.host.rota import Rota

READINGS = 6


class Asked:
    """Counts how often each was read; those that are odd have a name, those that divide by 7 never have one."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, path: str) -> int:
        self.counts[path] = self.counts.get(path, 0) + 1
        return int(path)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def has_name(number: int) -> bool | None:
    return None if number % 7 == 0 else number % 2 == 1


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_a_pass_with_new_ones_reads_fewer_of_the_others(new_in_each: list[int]) -> None:
    read = Asked()
    rota, paths = Rota(read, has_name, READINGS), [str(number) for number in range(100)]
    for path in paths:
        rota.of(path)
    rota.keep(paths)
    for new in new_in_each:
        before = read.total
        paths = [*paths[new:], *(str(int(paths[-1]) + 1 + number) for number in range(new))]
        assert [rota.of(path) for path in paths] == [int(path) for path in paths]
        rota.keep(paths)
        assert read.total - before == max(READINGS, new + 2)
        assert len(rota) == len(paths)


@given(st.integers(1, 40))
def test_each_is_read_again_in_turn_and_what_has_no_other_name_never(size: int) -> None:
    read = Asked()
    rota, paths = Rota(read, has_name, READINGS), [str(number) for number in range(size)]
    for path in paths:
        rota.of(path)
    for _ in range(size):
        rota.keep(paths)
    asked = [read.counts[path] for path in paths if has_name(int(path)) is not None]
    assert all(read.counts[path] == 1 for path in paths if has_name(int(path)) is None)
    assert all(count > 2 for count in asked)
