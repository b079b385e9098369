"""How a report names the host."""

import os
import platform
import socket

import psutil

from agent.recording.host import describe_host
from collectors.host.hierarchy import CgroupLayout

LAYOUT = CgroupLayout("hybrid", None, {}, "v1", 3)


def test_the_host_is_named_as_others_name_it() -> None:
    host = describe_host(LAYOUT)
    assert host.hostname == socket.gethostname()
    assert platform.release() in host.kernel
    assert host.cpus == os.cpu_count()
    assert host.cgroup_mode == "hybrid, cpu controller on v1"


def test_cores_and_threads_agree_with_psutil_where_all_cpus_are_ours() -> None:
    topology = describe_host(LAYOUT).topology
    assert f"{len(os.sched_getaffinity(0))} threads" in topology
    if len(os.sched_getaffinity(0)) == psutil.cpu_count() and psutil.cpu_count(logical=False):
        assert f"{psutil.cpu_count(logical=False)} cores" in topology


def test_the_configuration_hash_stays_on_one_host() -> None:
    assert describe_host(LAYOUT).config_hash == describe_host(LAYOUT).config_hash
