"""Network devices of this host alone, to send through: what queues in them is what somebody here sends."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A device, and the address at its other end, where nobody listens."""

    device: str
    peer: str


@contextlib.contextmanager
def link(*tbf: str) -> Iterator[Link]:
    """A device whose queue is a token bucket (tc-tbf(8)), to one in a network namespace of its own.

    Args:
        tbf: the words that say how much passes.

    Raises:
        subprocess.CalledProcessError: ip or tc refused, for want of root or of the kernel's part.
    """
    name = f"jl{os.getpid()}"
    # Of this process alone: two, each with a link to one address, would both send through the link that came first.
    ours, peer = (f"10.213.{os.getpid() // 64 % 256}.{os.getpid() % 64 * 4 + last}" for last in (1, 2))
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "peer", "netns", name)
        _run("ip", "addr", "add", f"{ours}/30", "dev", name)
        _run("ip", "link", "set", name, "up")
        _run("ip", "-n", name, "addr", "add", f"{peer}/30", "dev", "peer")
        _run("ip", "-n", name, "link", "set", "peer", "up")
        _run("tc", "qdisc", "add", "dev", name, "root", "tbf", *tbf)
        hardware = _run("ip", "netns", "exec", name, "cat", "/sys/class/net/peer/address").strip()
        _run("ip", "neigh", "replace", peer, "lladdr", hardware, "dev", name)
        yield Link(name, peer)
    finally:
        subprocess.run(("ip", "link", "del", name), check=False)  # at once: a namespace goes in its own time
        _run("ip", "netns", "del", name)


def queued(device: str) -> dict[str, int]:
    """Of a device's queue by its own books: packets and bytes that passed, packets it dropped, and those in it."""
    (queue,) = json.loads(_run("tc", "-s", "-j", "qdisc", "show", "dev", device))
    return {name: queue[name] for name in ("packets", "bytes", "drops", "qlen")}


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
