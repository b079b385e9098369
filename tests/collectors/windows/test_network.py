"""What is made of two readings of the queues of network devices."""

from collectors.windows.network import QueueUse, queue_use, queues_within
from probes.network import TCP, QueueFigures

PATHS = {1: "/a", 2: "/a/inner", 3: "/b"}


def test_only_what_grew_is_in_a_window() -> None:
    before = {"eth0": {1: QueueFigures(5, 500, 50, 20, 10, 1, 0, {3: 20})}}
    after = {
        "eth0": {
            1: QueueFigures(7, 700, 90, 30, 10, 4, 0, {3: 50}),
            9: QueueFigures(0, 0, 0, 0, 0, 0, 0, {}),
        },
        TCP: {3: QueueFigures(0, 0, 0, 0, 0, 0, 2, {})},
    }
    assert queues_within(before, after, PATHS) == {
        "eth0": {"/a": QueueUse(2, 200, 40, 10, 0, 3, 0, {"/b": 30})},
        "tcp": {"/b": QueueUse(retransmits=2)},
    }


def test_waits_for_ones_own_parts_are_ones_own() -> None:
    window = {
        "eth0": {
            "/a": QueueUse(1, 100, 50, 10, 0, 0, 0, {"/a/inner": 30, "/b": 10}),
            "/a/inner": QueueUse(1, 100, 5, 0, 5, 0, 0, {}),
            "/b": QueueUse(9, 900, 0, 0, 0, 0, 0, {}),
        }
    }
    assert queue_use([window], "/a") == QueueUse(2, 200, 55, 40, 5, 0, 0, {"/b": 10})
