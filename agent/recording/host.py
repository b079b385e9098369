"""The host, as a report names it."""

import os
import platform
import socket
import zlib
from pathlib import Path

from agent.documents.verdict_parts import Host
from collectors.host.hierarchy import CgroupLayout


def describe_host(layout: CgroupLayout) -> Host:
    """Name, kernel, CPUs and cgroup layout; `config_hash` changes when the kernel or its command line does."""
    uname = platform.uname()
    config = "\n".join(
        [
            uname.release,
            uname.version,
            _text("/proc/cmdline"),
            _text("/proc/sys/kernel/sched_autogroup_enabled"),
        ]
    )
    return Host(
        hostname=socket.gethostname(),
        kernel=f"{uname.system} {uname.release} {uname.machine}",
        cpus=os.cpu_count() or 1,
        topology=_topology(),
        cgroup_mode=f"{layout.mode}, cpu controller on {layout.cpu_on or 'neither'}",
        # Only to tell configurations apart; hashlib would keep 3.4 MB of OpenSSL in every recording.
        config_hash=f"{zlib.crc32(config.encode()):08x}",
    )


def _topology() -> str:
    cpus = sorted(os.sched_getaffinity(0))
    siblings = {_text(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus}
    packages = {_text(f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id") for cpu in cpus}
    nodes = list(Path("/sys/devices/system/node").glob("node[0-9]*"))
    counts = {
        "socket": len(packages),
        "core": len(siblings),
        "thread": len(cpus),
        "NUMA node": max(1, len(nodes)),
    }
    return ", ".join(f"{number} {noun}{'s' * (number != 1)}" for noun, number in counts.items())


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
