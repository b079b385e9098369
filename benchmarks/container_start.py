"""How long the node's image takes from its start to its first window, with probes that were prepared.

    python -m benchmarks.container_start [--rounds N] [IMAGE]

IMAGE is built by `make images`. Each round starts a container with the named capabilities alone, in which
`jostle record` takes one window of 0.1 s. Timed inside, from the command to its end, less that window: wall time, and
CPU time, in which what else this machine does hardly shows. Beside them the time that podman takes around it. Exits
with 1 where the median of the wall time is beyond GOAL_S.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

GOAL_S, WINDOW_S = 1.0, 0.1
ROOT = Path(__file__).parent.parent
# The limits are those of a machine without systemd; the weight, as others on it may be busy.
PODMAN = (
    *("podman", "--cgroup-manager=cgroupfs", "--runtime", "runc", "run", "--rm", "--network", "none"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--cpu-shares", "262144"),
    *("--pid=host", "--cap-drop=all", "--cap-add=BPF,PERFMON", "--read-only", "--tmpfs", "/out"),
    *("--security-opt", f"seccomp={ROOT / 'packaging/seccomp.json'}", "-v", "/:/host:ro,rslave"),
)
TIMED = """
import json, resource, subprocess, sys, time
start_s = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.monotonic() - start_s, spent.ru_utime + spent.ru_stime]))
"""


def timed(image: str, probes: Path) -> tuple[float, float, float]:
    """(wall time less the window, CPU time, what podman took around it), in seconds."""
    record = (
        "jostle",
        "--host-root",
        "/host",
        "record",
        "-d",
        str(WINDOW_S),
        "-i",
        str(WINDOW_S),
        "-o",
        "/out/a.run",
    )
    mounted = ("-v", f"{probes}:/usr/share/jostle/probes:ro", "--entrypoint", "/usr/bin/python3")
    start_s = time.monotonic()
    words = [*PODMAN, *mounted, image, "-c", TIMED, *record]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    wall_s, cpu_s = json.loads(told)
    return wall_s - WINDOW_S, cpu_s, time.monotonic() - start_s - wall_s


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.container_start", description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", default="localhost/jostle:0.1.0")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for cgroups in ("1", "3000", "6000", "12000"):  # as many as there may be on this host
            words = [
                sys.executable,
                "-m",
                "agent",
                "prepare",
                "--cgroups",
                cgroups,
                "-o",
                f"{folder}/{cgroups}.probes",
            ]
            subprocess.run(words, check=True, cwd=ROOT, capture_output=True)
        rounds = [timed(options.image, Path(folder)) for _ in range(options.rounds)]
    wall_s, cpu_s, around_s = (median(column) for column in zip(*rounds, strict=True))
    print(
        f"{options.rounds} starts of {options.image}, medians: {wall_s:.2f} s to the first window,", end=" "
    )
    print(f"{cpu_s:.2f} s of CPU time; podman {around_s:.2f} s around it")
    return int(wall_s > GOAL_S)


if __name__ == "__main__":
    sys.exit(main())
