"""How long packets waited in a device's queue, and behind whose, against what `tc -s` says of that queue."""

import contextlib
import socket
import time
from contextlib import AbstractContextManager

import pytest

from benchmarks.links import Link, link, queued
from collectors.windows import sched
from collectors.windows.network import QueueUse, add, queue_use
from probes.sched_probe import SchedProbe
from tests.cli.running import eventually
from tests.kernel.answers import measure
from tests.kernel.situations import Situation, Work, spin

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
SECONDS = 2.0
PORT = 9
LARGE_BYTES = 1400
# A full queue is less than what is followed whole in a tick: no figure is an estimate.
RATE_BPS, FULL_MS, BURST_BYTES = 20_000_000, 20, 3000


def slow_link() -> AbstractContextManager[Link]:
    """A device whose queue lets RATE_BPS pass."""
    return link("rate", f"{RATE_BPS}bit", "burst", f"{BURST_BYTES}", "latency", f"{FULL_MS}ms")


def send(peer: str, size_bytes: int, pause_s: float = 0.0) -> Work:
    """Send datagrams of a size, with a pause after each or without rest."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.setsockopt(
                socket.SOL_SOCKET, 32, 4 << 20
            )  # SO_SNDBUFFORCE: the queue is full before that
            while True:
                with contextlib.suppress(OSError):  # no room in the queue, or nobody listens
                    datagrams.sendto(bytes(size_bytes), (peer, PORT))
                if pause_s:
                    time.sleep(pause_s)

    return work


def test_who_fills_a_queue_is_waited_for_and_not_who_has_the_cpu(
    probe: SchedProbe, situation: Situation
) -> None:
    with slow_link() as slow:
        ours, theirs, decoy = (situation.group(name) for name in ("ours", "theirs", "decoy"))
        situation.process(send(slow.peer, 100, 0.002), ours)
        situation.process(send(slow.peer, LARGE_BYTES), theirs)
        situation.process(spin, decoy)
        before, begun_s = queued(slow.device), time.monotonic()
        snapshot = probe.read()
        situation.go(SECONDS)
        took_s = time.monotonic() - begun_s
        assert eventually(lambda: not queued(slow.device)["qlen"])  # what was queued when all stopped
        window, after = sched.window(snapshot, probe.read()), queued(slow.device)
    uses = {group: queue_use([window.network], group.path) for group in (ours, theirs, decoy)}
    every = add(list(window.network[slow.device].values()))
    sent = {name: after[name] - before[name] for name in before}
    assert every.bytes == pytest.approx(sent["bytes"], rel=0.02)
    assert every.dropped == pytest.approx(sent["drops"], rel=0.02, abs=10)
    for use in uses.values():
        parts_ns = use.self_ns + use.unattributed_ns + sum(use.waited_for.values())
        assert parts_ns == pytest.approx(use.queue_ns, rel=1e-3)
    assert uses[decoy] == QueueUse()
    mine = uses[ours]
    assert mine.packets > 100
    # A full queue by what was sent: an emulated machine's timers are late, and the link is slower than its rate.
    full_s = (RATE_BPS / 8 * FULL_MS / 1e3 + BURST_BYTES) / sent["bytes"] * took_s
    assert 0.25 * full_s < mine.queue_ns / mine.packets / 1e9 < 1.5 * full_s
    assert mine.waited_for[theirs.path] > 0.8 * mine.queue_ns


def test_without_network_nothing_of_it_is_told(situation: Situation) -> None:
    from collectors.host.hierarchy import detect_layout
    from collectors.sources import ebpf

    layout = detect_layout()
    listed = lambda: ebpf.list_cgroups(layout)  # noqa: E731
    with slow_link() as slow, SchedProbe(ebpf.identity_of(layout), listed, net=False) as probe:
        situation.process(send(slow.peer, 100), situation.group("ours"))
        answer = measure(probe, situation, 0.3)
    assert all(not window.network for window in answer.windows)
