"""Who tests the kernel has the machine alone; who does not shares it, and lets those in who wait."""

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests.turns import turn

SPAWN = multiprocessing.get_context("spawn")
SOON_S, LONG_S = 0.2, 60.0


def hold(rooms: Path, kind: str, has: Event, leave: Event) -> None:
    with turn(alone=kind == "alone", limit_s=LONG_S, rooms=rooms):
        has.set()
        leave.wait(LONG_S)


class Other:
    """Another suite's test, which has its turn or waits for it until told to leave."""

    def __init__(self, rooms: Path, *, alone: bool) -> None:
        self.has, self.leave = SPAWN.Event(), SPAWN.Event()
        self.process = SPAWN.Process(
            target=hold, args=(rooms, "alone" if alone else "shared", self.has, self.leave)
        )
        self.process.start()

    def __enter__(self) -> "Other":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave.set()
        self.process.join(LONG_S)
        assert self.process.exitcode == 0


@pytest.mark.parametrize("one_that_is", ["they", "we", "both"])
def test_one_that_is_alone_waits_and_is_waited_for(tmp_path: Path, one_that_is: str) -> None:
    they, we = one_that_is in {"they", "both"}, one_that_is in {"we", "both"}
    with Other(tmp_path, alone=they) as other:
        assert other.has.wait(LONG_S)
        with pytest.raises(TimeoutError), turn(alone=we, limit_s=SOON_S, rooms=tmp_path):
            pass
    with turn(alone=we, limit_s=SOON_S, rooms=tmp_path):
        pass


def test_others_share_it(tmp_path: Path) -> None:
    with Other(tmp_path, alone=False) as other:
        assert other.has.wait(LONG_S)
        with turn(alone=False, limit_s=SOON_S, rooms=tmp_path):
            pass


def test_who_shares_it_does_not_pass_one_who_waits_to_be_alone(tmp_path: Path) -> None:
    with Other(tmp_path, alone=False) as first:
        assert first.has.wait(LONG_S)
        with Other(tmp_path, alone=True) as waiting:
            deadline_s = time.monotonic() + LONG_S
            while time.monotonic() < deadline_s:  # until it stands in the door
                try:
                    with turn(alone=False, limit_s=0.0, rooms=tmp_path):
                        time.sleep(0.01)
                except TimeoutError:
                    break
            assert not waiting.has.is_set()
            first.leave.set()
            assert waiting.has.wait(LONG_S)
