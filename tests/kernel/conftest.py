"""One probe for a module's tests: attaching takes about a second."""

from collections.abc import Iterator

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from probes.sched_probe import SchedProbe
from tests.kernel.situations import Situation


@pytest.fixture(scope="module")
def probe() -> Iterator[SchedProbe]:
    with ebpf.open_probe(detect_layout()) as opened:
        yield opened


@pytest.fixture
def situation() -> Iterator[Situation]:
    with Situation() as made:
        yield made
