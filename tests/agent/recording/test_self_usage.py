"""What a process costs by its own word, beside what psutil says."""

import os

import psutil
import pytest

from agent.recording.self_usage import SelfWatch, descriptors, rss_bytes


def test_sizes_are_those_that_others_see() -> None:
    process = psutil.Process()
    assert rss_bytes() == pytest.approx(process.memory_info().rss, rel=0.05)
    before = descriptors()
    taken = os.open("/", os.O_PATH)
    assert descriptors() == before + 1
    assert process.num_fds() - 1 == before + 1  # the listing of psutil is one of them
    os.close(taken)


def test_cpu_time_is_of_the_time_since_the_last_call() -> None:
    watch = SelfWatch()
    before = watch.uptime_s
    watch.cpu_pct()
    used_s = psutil.Process().cpu_times().user
    while psutil.Process().cpu_times().user < used_s + 0.05:
        pass
    assert 0 < watch.cpu_pct() <= 100 * (os.cpu_count() or 1)
    assert watch.uptime_s > before
