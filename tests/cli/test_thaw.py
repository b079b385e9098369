"""What all three left that could have put it back, `jostle thaw` does; and it leaves a living jostle's alone."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.attack.deaths import freezing, staged
from tests.cli.running import eventually, run

pytestmark = pytest.mark.kernel


def test_what_everybody_left_that_is_dead_is_put_back(tmp_path: Path) -> None:
    still = partial(freezing, victim="sleep 1000")
    with staged(still, tmp_path) as (stage, watch):
        assert eventually(lambda: not watch.is_as_before())
        alone = run("thaw")
        assert alone.code == 0
        assert not watch.is_as_before()
        everybody = [*stage.janitors, stage.jostle.pid]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everybody:
                os.kill(pid, number)
        assert eventually(lambda: not stage.janitors)
        assert run("thaw").code == 0
        assert eventually(watch.is_as_before)
    assert f"which process {stage.jostle.pid} holds" in alone.err


def test_there_may_be_nothing_to_thaw() -> None:
    ended = run("thaw")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err
