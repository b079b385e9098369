"""A window as one value: all of it comes back, a wrong bit is found, and an absurd one is refused."""

import zlib
from dataclasses import replace
from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import packing
from agent.store.packing import DAMAGE, Allowance, pack_window, unpack_window
from collectors.windows.figures import CgroupFigures
from collectors.windows.sched import SchedWindow
from collectors.windows.signals import HostSignals, SignalWindow
from tests.agent.analysis.trials import cgroup, window

ROW = CgroupFigures(inf, *range(1, len(CgroupFigures._fields)))
RAN = replace(
    window(cgroup(1.0, {"/b": 0.5}, path="/a")), signals=SignalWindow({"/a": ROW}, HostSignals({}, {}))
)
NOT_UTF_8 = replace(RAN, cgroups={"/\udcff": cgroup(1.0, path="/\udcff")})


@pytest.mark.parametrize("whole", [RAN, NOT_UTF_8])
def test_a_window_comes_back(whole: SchedWindow) -> None:
    assert unpack_window(pack_window(whole)) == whole


@given(st.integers(0, 8 * len(pack_window(RAN)) - 1))
def test_a_single_flipped_bit_is_found(bit: int) -> None:
    packed = bytearray(pack_window(RAN))
    packed[bit // 8] ^= 1 << bit % 8
    try:
        found = unpack_window(bytes(packed))
    except DAMAGE:
        return
    assert found == RAN  # a bit of zlib's header that says nothing of the content


@given(st.binary(max_size=200))
def test_any_bytes_are_a_window_or_damage(content: bytes) -> None:
    for packed in (content, zlib.compress(content)):
        with pytest.raises(DAMAGE):
            unpack_window(packed)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(RAN, untracked=-1), "negative"),
        (replace(RAN, cgroups={"/a": replace(cgroup(1.0), run_ns=-1)}), "negative"),
        (replace(RAN, cgroups={"/a": replace(cgroup(1.0), histogram=(1,))}), "buckets"),
    ],
)
def test_figures_that_cannot_be_are_damage(wrong: SchedWindow, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack_window(pack_window(wrong))


def test_a_window_larger_than_any_is_damage_before_it_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack_window(RAN)
    monkeypatch.setattr(packing, "_FREE_BYTES", 100)
    monkeypatch.setattr(packing, "_LARGEST_RATIO", 1)
    with pytest.raises(ValueError, match="larger"):
        unpack_window(packed)


def test_what_a_file_of_windows_is_unpacked_to_is_bounded_as_a_whole() -> None:
    bomb, left = zlib.compress(bytes(1 << 20)), Allowance(0)
    assert left.unzip(bomb) == left.unzip(bomb) == bytes(1 << 20)
    with pytest.raises(ValueError, match="larger"):
        left.unzip(bomb)


@pytest.mark.parametrize("whole", [RAN, NOT_UTF_8])
def test_a_window_from_before_a_figure_was_added_is_read_without_it(
    whole: SchedWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written as an earlier jostle had it, whose registry lacked one figure."""
    known = tuple(name for name in CgroupFigures._fields if name != "reclaimed_pages")
    assert whole.signals
    fewer = {path: tuple(getattr(row, name) for name in known) for path, row in whole.signals.cgroups.items()}
    monkeypatch.setattr(packing, "CgroupFigures", type("Earlier", (), {"_fields": known}))
    packed = pack_window(replace(whole, signals=replace(whole.signals, cgroups=fewer)))  # type: ignore[arg-type]
    monkeypatch.undo()
    found = unpack_window(packed)
    assert found.signals
    assert found.signals.cgroups["/a"] == ROW._replace(reclaimed_pages=None)


def test_what_is_packed_is_plain_msgpack() -> None:
    figures, is_json, content = msgspec.msgpack.decode(zlib.decompress(pack_window(RAN)))
    assert (tuple(figures), is_json) == (CgroupFigures._fields, False)
    assert content["cgroups"]["/a"]["run_ns"] == 10**9
