"""What all three left that could have put it back, `jostle thaw` and the agent's start do; the living are let be."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.attack.deaths import freezing, staged
from tests.cli.running import end, eventually, run, start

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("healer", ["thaw", "agent"])
def test_what_everybody_left_that_is_dead_is_put_back(tmp_path: Path, healer: str) -> None:
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
        words = [healer]
        if healer == "agent":
            off = "\n".join(f"[{sink}]\nenabled = false" for sink in ("history", "metrics"))
            (tmp_path / "jostle.toml").write_text(f'[agent]\ntier = "psi"\n{off}\n')
            words += ["--config", str(tmp_path / "jostle.toml")]
        process = start(*words)
        assert eventually(watch.is_as_before)
        os.kill(process.pid, signal.SIGTERM) if healer == "agent" else None
        healed = end(process)
        assert (healed.code, "put back" in healed.err.lower()) == (0, True)
    assert f"which process {stage.jostle.pid} holds" in alone.err


def test_there_may_be_nothing_to_thaw() -> None:
    ended = run("thaw")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err
