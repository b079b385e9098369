"""How long packets waited in a device's queue, and behind whose, against what `tc -s` says of that queue."""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from collectors.windows import sched
from collectors.windows.network import QueueUse, add, queue_use
from probes.sched_probe import SchedProbe
from tests.cli.running import eventually
from tests.kernel.answers import measure
from tests.kernel.situations import Situation, Work, spin

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
SECONDS = 2.0
PORT = 9
# Of this process alone: two workers, each with a link to one address, would both send through the link that came first.
OUR_ADDRESS, PEER = (f"10.213.{os.getpid() // 64 % 256}.{os.getpid() % 64 * 4 + last}" for last in (1, 2))
LARGE_BYTES = 1400
# A full queue is less than what is followed whole in a tick: no figure is an estimate.
RATE_BPS, FULL_MS, BURST_BYTES = 20_000_000, 20, 3000


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def slow_link() -> Iterator[str]:
    """A device of this namespace whose queue lets RATE_BPS pass, to one in another that answers nothing."""
    name = f"jt{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "peer", "netns", name)
        run("ip", "addr", "add", f"{OUR_ADDRESS}/30", "dev", name)
        run("ip", "link", "set", name, "up")
        run("ip", "-n", name, "addr", "add", f"{PEER}/30", "dev", "peer")
        run("ip", "-n", name, "link", "set", "peer", "up")
        burst = ("burst", f"{BURST_BYTES}", "latency", f"{FULL_MS}ms")
        run("tc", "qdisc", "add", "dev", name, "root", "tbf", "rate", f"{RATE_BPS}bit", *burst)
        peer = run("ip", "netns", "exec", name, "cat", "/sys/class/net/peer/address").strip()
        run("ip", "neigh", "replace", PEER, "lladdr", peer, "dev", name)
        yield name
    finally:
        subprocess.run(("ip", "link", "del", name), check=False)  # at once: a namespace goes in its own time
        run("ip", "netns", "del", name)


def send(size_bytes: int, pause_s: float = 0.0) -> Work:
    """Send datagrams of a size, with a pause after each or without rest."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.setsockopt(
                socket.SOL_SOCKET, 32, 4 << 20
            )  # SO_SNDBUFFORCE: the queue is full before that
            while True:
                with contextlib.suppress(OSError):  # no room in the queue, or nobody listens
                    datagrams.sendto(bytes(size_bytes), (PEER, PORT))
                if pause_s:
                    time.sleep(pause_s)

    return work


def books(device: str) -> dict[str, int]:
    """Packets and bytes that a device's queue let pass, packets that it dropped, and those that are in it."""
    (queue,) = json.loads(run("tc", "-s", "-j", "qdisc", "show", "dev", device))
    return {name: queue[name] for name in ("packets", "bytes", "drops", "qlen")}


def test_who_fills_a_queue_is_waited_for_and_not_who_has_the_cpu(
    probe: SchedProbe, situation: Situation
) -> None:
    with slow_link() as device:
        ours, theirs, decoy = (situation.group(name) for name in ("ours", "theirs", "decoy"))
        situation.process(send(100, 0.002), ours)
        situation.process(send(LARGE_BYTES), theirs)
        situation.process(spin, decoy)
        before, begun_s = books(device), time.monotonic()
        snapshot = probe.read()
        situation.go(SECONDS)
        took_s = time.monotonic() - begun_s
        assert eventually(lambda: not books(device)["qlen"])  # what was queued when all stopped
        window, after = sched.window(snapshot, probe.read()), books(device)
    uses = {group: queue_use([window.network], group.path) for group in (ours, theirs, decoy)}
    every = add(list(window.network[device].values()))
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
    with slow_link(), SchedProbe(ebpf.identity_of(layout), listed, net=False) as probe:
        situation.process(send(100), situation.group("ours"))
        answer = measure(probe, situation, 0.3)
    assert all(not window.network for window in answer.windows)
