"""What is made of a kernel's types; `btf/6.18` is what tests/probes/btf_files.py cut out of such a kernel's."""

from itertools import chain
from pathlib import Path

import pytest

from probes import kernel_work
from probes.btf import KIND_INT, KIND_PTR, Param
from probes.errors import HostError
from probes.kernel import (
    ATTACHED_TO,
    OPTIONAL,
    Member,
    count_cpus,
    describe,
    require_all_tasks,
    sees_all_tasks,
    switch_arguments,
    watched_cpus,
)
from tests.probes.btf_files import Writer

STORED = Path(__file__).parent / "btf" / "6.18"
FLAG, STATE, TASK = Param(KIND_INT, None), Param(KIND_INT, None), Param(KIND_PTR, "task_struct")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([FLAG, TASK, TASK], {"preempt": 0, "prev": 1, "next": 2}),
        ([FLAG, STATE, TASK, TASK], {"preempt": 0, "prev": 2, "next": 3, "prev_state": 1}),
        ([FLAG, TASK, TASK, STATE], {"preempt": 0, "prev": 1, "next": 2, "prev_state": 3}),
    ],
    ids=["to 5.17", "5.18", "from 5.19"],
)
def test_each_known_order_of_arguments(params: list[Param], expected: dict[str, int]) -> None:
    assert switch_arguments(params) == expected


@pytest.mark.parametrize(
    "params",
    [
        [],
        [TASK, TASK],
        [FLAG, TASK],
        [TASK, FLAG, TASK],
        [FLAG, TASK, TASK, STATE, STATE],
        [FLAG, TASK, Param(KIND_PTR, "rq")],
    ],
)
def test_an_unknown_order_is_refused(params: list[Param]) -> None:
    with pytest.raises(HostError, match="not known"):
        switch_arguments(params)


@pytest.mark.parametrize(
    ("text", "expected"), [("0\n", 1), ("0-1\n", 2), ("0-127\n", 128), ("0,2-3\n", 4), ("0-3,8\n", 9)]
)
def test_the_highest_possible_cpu(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "possible").write_text(text)
    assert count_cpus("possible", tmp_path) == expected


@pytest.mark.parametrize(
    ("present", "possible", "room"), [(2, 240, 4), (64, 64, 64), (96, 128, 128), (1, 1, 1)]
)
def test_there_is_room_for_cpus_that_are_added_and_not_for_all_that_may_be(
    present: int, possible: int, room: int
) -> None:
    assert watched_cpus(present, possible) == room


def test_a_kernel_is_described_by_its_types_alone() -> None:
    # As `pahole` says of that kernel (6.18.44).
    found = describe(STORED)
    assert found.offsets["task_struct_pid"] == 1264
    assert found.offsets["task_struct_state"] == 24
    assert found.offsets["css_set_cpu_css"] == 8  # the second subsystem's
    assert found.switch_args == {"preempt": 0, "prev": 1, "next": 2, "prev_state": 3}
    assert found.throttling
    assert found.stolen
    assert (found.block_argument, found.work_argument) == (0, 2)
    assert found.reclaim
    assert found.network
    assert found.qdisc_drops == (64, 66)
    assert kernel_work.TRACEPOINTS.keys() <= found.attach_ids.keys()
    attached = {*ATTACHED_TO, *chain.from_iterable(OPTIONAL.values())}
    assert found.attach_ids.keys() == attached
    assert len(set(found.attach_ids.values())) == len(attached)
    assert not describe(STORED, typed=False).typed


def test_a_member_that_no_kernel_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Member("x", (("rq", "no_such_member"),), "CONFIG_X=y")
    monkeypatch.setattr("probes.kernel.REQUIRED", (missing,))
    with pytest.raises(HostError, match=r"rq\.no_such_member: CONFIG_X=y"):
        describe(STORED)


def test_a_kernel_without_what_is_attached_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.kernel.ATTACHED_TO", {"on_other": "btf_trace_no_such"})
    with pytest.raises(HostError, match="on_other"):
        describe(STORED)
    (tmp_path / "empty").write_bytes(Writer().file())
    with pytest.raises(HostError, match="the kernel has no"):
        describe(tmp_path / "empty")


def test_a_pid_namespace_of_its_own_is_told_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sees_all_tasks(tmp_path)  # a tree without the link is not that of a running host
    (tmp_path / "proc" / "self" / "ns").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "ns" / "pid").write_text("")
    assert not sees_all_tasks(tmp_path)
    with pytest.raises(HostError, match=r"PID namespace.*--pid=host"):
        require_all_tasks(tmp_path)
    monkeypatch.setenv("JOSTLE_ALLOW_PID_NAMESPACE", "1")
    require_all_tasks(tmp_path)
