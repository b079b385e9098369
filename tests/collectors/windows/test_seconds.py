"""What is kept of a second gives the window that there was; what is none is refused."""

import zlib
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.windows import sched
from collectors.windows.sched import REST, CgroupWindow
from collectors.windows.seconds import MOST_AGGRESSORS, kept, window_of
from probes.snapshot import Snapshot
from tests.collectors.windows.readings import PATHS, bare, readings


def by_weight(cgroup: CgroupWindow) -> list[int]:
    """How long it waited for each, the longest first: what one window tells by name another tells as the rest."""
    return sorted((wait.wait_ns for name, wait in cgroup.waited_for.items() if name != REST), reverse=True)


@given(readings())
def test_what_is_kept_is_the_window(found: list[Snapshot]) -> None:
    for before, after in pairwise(found):
        whole = sched.window(before, bare(after))
        second = kept(before, after)
        back = window_of(zlib.decompress(second.packed), PATHS)
        assert (second.end_ns, second.duration_ns) == (whole.end_ns, whole.duration_ns)
        assert replace(back, cgroups={}, cpus=()) == replace(whole, cgroups={}, cpus=())
        assert back.cgroups.keys() == whole.cgroups.keys()
        for path, cgroup in whole.cgroups.items():
            told = back.cgroups[path]
            assert replace(told, waited_for={}) == replace(cgroup, waited_for={})
            assert told.others_ns == cgroup.others_ns
            assert by_weight(told)[:MOST_AGGRESSORS] == by_weight(cgroup)[:MOST_AGGRESSORS]
        assert [cpu.switches for cpu in back.cpus] == [cpu.switches for cpu in whole.cpus]
        assert [cpu.running for cpu in back.cpus] == pytest.approx([cpu.running for cpu in whole.cpus])


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        window_of(content, {})


@pytest.mark.parametrize(
    "wrong",
    [
        [1, 2, [], [], 0, 0, []],  # began before the host
        [5, 1, [[1, [0] * 3, [0] * 96, None, []]], [], 0, 0, []],
        [5, 1, [[1, [0] * 15, [0] * 95, None, []]], [], 0, 0, []],
        [5, 1, [[1, [-1] * 15, [0] * 96, None, []]], [], 0, 0, []],
        [5, 1, [[1, [0] * 15, [0] * 96, None, [[1, -1, 2]]]], [], 0, 0, []],
    ],
)
def test_what_no_second_can_be_is_refused(wrong: list[object]) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        window_of(msgspec.msgpack.encode(wrong), {})
