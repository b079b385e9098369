"""A bit that has flipped in a recording is told, or changes nothing that is read."""

import random
from pathlib import Path

import pytest

from agent.documents.event import EventState
from agent.store.query import Period, load_past
from agent.store.run_file import Run, read_run
from probes.errors import UsageError
from tests.agent.daemon.observations import EPOCH_NS, NS, WINDOW_S, event
from tests.agent.store.test_query import told
from tests.cli.test_report import recorded

FLIPS = 400


def run_file(path: Path) -> Path:
    return recorded(path)


def history(path: Path) -> Path:
    return told(path, event("/a", state=EventState.RAISED))


def read_history(path: Path) -> Run:
    return load_past(path, Period(EPOCH_NS, EPOCH_NS + round(20 * WINDOW_S * NS)))


@pytest.mark.parametrize(
    ("make", "read"), [(run_file, read_run), (history, read_history)], ids=["run", "history"]
)
def test_no_flipped_bit_changes_what_is_read(tmp_path: Path, make, read) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  two pairs of functions
    whole = make(tmp_path / "whole").read_bytes()
    expected = read(tmp_path / "whole")
    draw, refused, silent = random.Random(1), 0, []  # noqa: S311  which bits is not a secret
    used = [place for place in range(len(whole)) if whole[place]]  # most of a page is empty
    for _ in range(FLIPS):
        place, bit = draw.choice(used), draw.randrange(8)
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path = tmp_path / "changed"
        path.write_bytes(changed)
        try:
            if read(path) != expected:
                silent.append((place, bit))
        except UsageError:
            refused += 1
    assert silent == []
    assert refused > FLIPS / 2
