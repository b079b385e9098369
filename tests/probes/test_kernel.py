from pathlib import Path

import pytest

from probes.btf import KIND_INT, KIND_PTR, Param
from probes.errors import HostError
from probes.kernel import possible_cpus, switch_arguments

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
    assert possible_cpus(tmp_path / "possible") == expected
