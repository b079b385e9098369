"""What is left of root's power in the agent once its probes are attached: nothing that reading them does not need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import end
from tests.cli.test_agent import Place
from tests.kernel.situations import eventually

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[2]

# Opens the probe, gives up, reads on, and tries what root may.
SCRIPT = """
import json, os, socket, sys
from probes import bpf_syscall
from probes.bpf_syscall import MapShape, Program
from probes.privilege import give_up
from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import open_probe

trivial = Program("trivial", bytes.fromhex("b7000000000000009500000000000000"), bpf_syscall.PROG_TYPE_RAW_TRACEPOINT)
foreign = sys.argv[1]
attempts = {
    "make a map": lambda: os.close(bpf_syscall.create_map("any", MapShape(2, 4, 8, 1, 0))),
    "load a program": lambda: os.close(bpf_syscall.load(trivial)),
    "account for all programs": lambda: os.close(bpf_syscall.enable_stats()),
    "read another's file": lambda: open(foreign).close(),
    "give a file away": lambda: os.chown(foreign, 65533, 65533),
    "signal another's process": lambda: os.kill(int(sys.argv[2]), 0),
    "read its environment": lambda: open(f"/proc/{sys.argv[2]}/environ").read(),
    "become another": lambda: os.setuid(65534),
    "a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "another host name": lambda: socket.sethostname(socket.gethostname()),
    "be root anew": lambda: os.execv(sys.executable, [sys.executable, "-c",
        "import socket; socket.sethostname(socket.gethostname())"]) if os.fork() == 0 else check(os.wait()[1]),
}

def check(status):
    if status:
        raise PermissionError

def outcome(attempt):
    try:
        attempt()
    except Exception as error:
        return "refused" if isinstance(error, PermissionError) or "not permitted" in str(error) else repr(error)
    return "done"

with open_probe(detect_layout()) as probe:
    before = {name: outcome(attempt) for name, attempt in attempts.items() if name != "become another"}
    give_up(probe.read)
    first = sum(cpu.switches for cpu in probe.read().cpus)
    after = {name: outcome(attempt) for name, attempt in attempts.items()}
    more = sum(cpu.switches for cpu in probe.read().cpus)
print(json.dumps({"before": before, "after": after, "switches": more - first}))
"""


def test_who_gave_up_reads_on_and_may_do_nothing_else(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("")
    foreign.chmod(0o600)
    other = subprocess.Popen(["setpriv", "--reuid=65533", "--clear-groups", "sleep", "600"])
    try:
        eventually(lambda: Path(f"/proc/{other.pid}").stat().st_uid == 65533, "it is another user")
        subprocess.run(["chown", "65533", foreign], check=True)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, foreign, str(other.pid)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    finally:
        other.kill()
        other.wait()
    found = json.loads(done.stdout)
    assert set(found["before"].values()) == {"done"}, found["before"]
    assert set(found["after"].values()) == {"refused"}, found["after"]
    assert found["switches"] > 0


def test_no_thread_of_the_agent_keeps_a_capability(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.configure(tier="ebpf")
    process = place.start()
    try:
        place.until(windows=3)
        threads = list(Path(f"/proc/{process.pid}/task").iterdir())
        assert len(threads) > 3  # its sinks have some
        for thread in threads:
            status = dict(line.split(":\t", 1) for line in (thread / "status").read_text().splitlines())
            held = {name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
            assert set(held.values()) == {0}, held
            assert status["NoNewPrivs"] == "1"
    finally:
        process.terminate()
        ended = end(process)
    assert ended.code == 0, ended.err
