"""`jostle.service`, installed as `make install` does, under a real systemd in a container that shares the kernel."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.errors import VmError
from tests.vm.installed import installed
from tests.vm.nspawn import Container, booted

pytestmark = pytest.mark.systemd

UNIT = "jostle.service"
NAMES = "jostle-names.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
CONFIG = "/run/jostle-test.toml"
HISTORY = "/var/lib/jostle/history.db"
PATIENCE_S = 90
# Windows that a test can wait for; no port, which another test on this machine may have.
SETTINGS = '[agent]\nwindow_s = 1.0\n[metrics]\nlisten = "unix:/run/jostle/metrics.sock"\n'
OVERRIDES = f"""
[Unit]
StartLimitBurst=100
[Service]
ExecStart=
ExecStart=/usr/lib/jostle/bin/jostle agent --config {CONFIG}
WatchdogSec=6
RestartSec=1
# A container has a PID namespace of its own; here only the service is tested, not its figures.
Environment=JOSTLE_ALLOW_PID_NAMESPACE=1
"""
METRICS = """
import http.client, socket
connection = http.client.HTTPConnection("agent")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/jostle/metrics.sock")
connection.request("GET", "/metrics")
print(connection.getresponse().read().decode())
"""
# The unit's sandbox around another program, that tries what the agent never should.
INTRUDER = "jostle-intruder.service"
INTRUDER_OVERRIDES = """
[Service]
Type=oneshot
ExecStart=
ExecStart=/usr/bin/python3 /run/intruder.py
StateDirectory=
StateDirectory=jostle-intruder
RuntimeDirectory=
Restart=no
WatchdogSec=0
"""
ATTEMPTS = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def attempt(what):
    try:
        what()
        return "done"
    except OSError as error:
        return os.strerror(error.errno)

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "")

def write(path):
    with open(path, "w") as file:
        file.write("x")

print(json.dumps({
    "write to the state directory": attempt(lambda: write(os.environ["STATE_DIRECTORY"] + "/kept")),
    "write to /etc": attempt(lambda: write("/etc/intruder")),
    "write to /usr": attempt(lambda: write("/usr/lib/jostle/intruder")),
    "write to /var/lib": attempt(lambda: write("/var/lib/intruder")),
    "write to /proc/sys": attempt(lambda: write("/proc/sys/kernel/hostname")),
    "write to a cgroup": attempt(lambda: write("/sys/fs/cgroup/cgroup.procs")),
    "read the root's files": attempt(lambda: open("/etc/shadow").close()),
    "mount": attempt(lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)),
    "unshare": attempt(lambda: call(libc.unshare, 0x00020000)),
    "raw socket": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    "trace another process": attempt(lambda: call(libc.ptrace, 16, 1, None, None)),
}))
"""

# Of the history, without a word to the agent: its windows, when the first ended (one that was begun anew has
# another), and how many cgroups ran in them.
COUNT = """
import json, sqlite3, sys
history = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
windows = history.execute("select count(*), min(end_utc_ns) from windows").fetchone()
from agent.store.packing import unpack_window
packed = [unpack_window(each) for (each,) in history.execute("select packed from windows")]
print(json.dumps([*windows, sum(cgroup.run_ns > 0 for each in packed for cgroup in each.cgroups.values())]))
"""


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(booted("systemd", binds(installed())))
        except (VmError, OSError) as error:  # OSError: the disk is full, and says where
            pytest.exit(str(error), returncode=1)  # once, not for every test
        yield made


def binds(tree: Path) -> list[tuple[Path, str]]:
    return [
        (tree / "usr/lib/jostle", "/usr/lib/jostle"),
        *(
            (tree / "usr/lib/systemd/system" / unit, f"/usr/lib/systemd/system/{unit}")
            for unit in (UNIT, NAMES)
        ),
        (tree / "etc/jostle", "/etc/jostle"),
    ]


@pytest.fixture
def running(container: Container) -> Iterator[Container]:
    """The unit is started, with a watchdog and windows that a test can wait for."""
    container.write(DROP_IN, OVERRIDES)
    container.write(CONFIG, SETTINGS)
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "start", UNIT)
    yield container
    container.run("systemctl", "stop", UNIT)
    container.run("systemctl", "reset-failed")


def shown(container: Container, *names: str) -> list[str]:
    printed = container.run("systemctl", "show", UNIT, *(f"--property={name}" for name in names))
    found = dict(line.split("=", 1) for line in printed.splitlines())
    return [found[name] for name in names]


def main_pid(container: Container) -> str:
    return shown(container, "MainPID")[0]


def journal(container: Container) -> str:
    return container.run("journalctl", "--no-pager", "-o", "cat", f"--unit={UNIT}")


def eventually(condition: Callable[[], bool], what: str, container: Container) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"still not so: {what}\n{journal(container)}"
        time.sleep(0.2)


def history(container: Container) -> tuple[int, int, int]:
    """(how many windows, when the first ended, how many cgroups ran in them, counted in each)."""
    windows, first, cgroups = json.loads(
        container.run("/usr/lib/jostle/bin/python", "-I", "-c", COUNT, HISTORY)
    )
    return windows, first, cgroups


def attached(container: Container) -> list[str]:
    """What any process in the container holds of BPF links, as the kernel says."""
    script = "grep -hs ^link_type: /proc/[0-9]*/fdinfo/* || true"
    return container.run("sh", "-c", script).splitlines()


def restarted(container: Container, old_pid: str) -> bool:
    state, pid = shown(container, "ActiveState", "MainPID")
    return state == "active" and pid not in {"0", old_pid}


def test_started_means_that_the_probes_are_attached(running: Container) -> None:
    kind, state, status = shown(running, "Type", "ActiveState", "StatusText")
    assert (kind, state) == ("notify", "active")
    assert status
    assert sum("tracing" in link or "raw_tracepoint" in link for link in attached(running)) >= 4


def test_windows_of_the_host_go_to_the_history(running: Container) -> None:
    eventually(lambda: history(running)[0] >= 2, "two windows are in the history", running)
    assert history(running)[2] > 0


def test_one_that_hangs_is_killed_by_the_watchdog_and_started_again(running: Container) -> None:
    pid = main_pid(running)
    running.run("kill", "-STOP", pid)
    eventually(lambda: restarted(running, pid), "another one runs", running)
    assert "Watchdog timeout" in journal(running)
    assert int(shown(running, "NRestarts")[0]) == 1


def test_the_history_is_kept_across_a_restart(running: Container) -> None:
    eventually(lambda: history(running)[0] >= 2, "two windows are in the history", running)
    windows, first, _ = history(running)
    running.run("systemctl", "restart", UNIT)
    eventually(lambda: history(running)[0] > windows, "there are more windows", running)
    assert history(running)[1] == first


def test_the_history_is_kept_across_a_kill(running: Container) -> None:
    eventually(lambda: history(running)[0] >= 2, "two windows are in the history", running)
    windows, first, _ = history(running)
    pid = main_pid(running)
    running.run("systemctl", "kill", "--signal=KILL", UNIT)
    eventually(lambda: restarted(running, pid), "another one runs", running)
    eventually(lambda: history(running)[0] > windows, "there are more windows", running)
    assert history(running)[1] == first


def test_a_reload_is_waited_for_and_keeps_the_process(running: Container) -> None:
    pid = main_pid(running)
    running.write(CONFIG, SETTINGS.replace("1.0", "2.0"))
    running.run("systemctl", "reload", UNIT)
    eventually(lambda: "read again" in journal(running), "it says so", running)
    assert shown(running, "ActiveState", "MainPID") == ["active", pid]


def test_a_stop_is_clean(running: Container) -> None:
    running.run("systemctl", "stop", UNIT)
    state, result, status = shown(running, "ActiveState", "Result", "ExecMainStatus")
    assert (state, result, status) == ("inactive", "success", "0")
    assert attached(running) == []
    assert "jostle" not in running.run("ps", "-eo", "args")


def test_a_mistake_in_the_configuration_is_told_and_not_tried_again(running: Container) -> None:
    running.run("systemctl", "stop", UNIT)
    running.write(CONFIG, "[agent]\nwindow = 1\n")
    running.run("systemctl", "start", UNIT, check=False)
    state, status, restarts = shown(running, "ActiveState", "ExecMainStatus", "NRestarts")
    assert (state, status, restarts) == ("failed", "2", "0")
    assert f"{CONFIG}:2" in journal(running)


def test_the_hardening_holds(running: Container) -> None:
    unit = Path(f"/proc/{running.leader}/root/usr/lib/systemd/system/{UNIT}").read_text()
    running.write(f"/run/systemd/system/{INTRUDER}", unit)
    running.write(f"/run/systemd/system/{INTRUDER}.d/test.conf", INTRUDER_OVERRIDES)
    running.write("/run/intruder.py", ATTEMPTS)
    running.run("systemctl", "daemon-reload")
    running.run("systemctl", "start", INTRUDER)
    said = running.run("journalctl", "--no-pager", "-o", "cat", f"--unit={INTRUDER}").splitlines()
    outcome = json.loads(next(line for line in said if line.startswith("{")))
    assert outcome.pop("write to the state directory") == "done"
    assert "done" not in outcome.values(), outcome
    assert outcome["write to /etc"] == outcome["write to /usr"] == "Read-only file system"


def test_it_keeps_no_capability_of_those_that_it_starts_with(running: Container) -> None:
    status = running.run("cat", f"/proc/{main_pid(running)}/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    named = running.run("systemctl", "show", UNIT, "--property=CapabilityBoundingSet", "--value").split()
    assert sorted(named) == ["cap_bpf", "cap_perfmon"]
    assert int(found["CapBnd"], 16).bit_count() == len(named)
    assert {int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert found["Uid"].split()[0] != "0"


def test_it_keeps_its_compiled_probes_where_it_alone_may_write(running: Container) -> None:
    kept = running.run(
        "sh", "-c", "stat -Lc %a:%u /var/cache/jostle-agent; ls /var/cache/jostle-agent"
    ).split()
    owner = running.run("stat", "-c", "%u", f"/proc/{main_pid(running)}").strip()
    assert kept[0] == f"750:{owner}"
    assert [name.endswith(".probes") for name in kept[1:]] == [True]
    assert "is not taken" not in journal(running)


@pytest.fixture
def docker(running: Container) -> Iterator[tuple[str, str]]:
    """The id and the name of a container as Docker leaves it: its cgroup busy, its state for root alone to read."""
    container_id, name = "ab" * 32, "victim-api"
    running.write(
        f"/var/lib/docker/containers/{container_id}/config.v2.json", json.dumps({"Name": f"/{name}"})
    )
    running.run("sh", "-c", "chown -R 0:0 /var/lib/docker; chmod -R go= /var/lib/docker")
    busy = ("sh", "-c", "while :; do :; done")
    unit = f"docker-{container_id}.scope"
    running.run(
        "sh", "-c", f"systemd-run -q --scope --unit={unit} {busy[0]} -c '{busy[2]}' >/dev/null 2>&1 &"
    )
    # The kernel tells the agent of cgroups that are made later by their paths on this host, not in the container.
    running.run("systemctl", "restart", UNIT)
    yield container_id, name
    running.run("systemctl", "stop", unit)
    running.run("rm", "-r", "/var/lib/docker")


def test_the_agent_knows_containers_by_name_that_it_may_not_read(
    running: Container, docker: tuple[str, str]
) -> None:
    container_id, name = docker
    owner = running.run("stat", "-c", "%u", f"/proc/{main_pid(running)}").strip()
    state = f"/var/lib/docker/containers/{container_id}/config.v2.json"
    refused = running.run("setpriv", f"--reuid={owner}", "--clear-groups", "cat", state, check=False)
    assert name not in refused
    eventually(
        lambda: f'container="{name}"' in running.run("/usr/bin/python3", "-c", METRICS),
        "the metrics have the name",
        running,
    )
    named = dict(
        line.split(":\t", 1)
        for line in running.run(
            "cat", f"/proc/{running.run('systemctl', 'show', NAMES, '--property=MainPID', '--value')}/status"
        ).splitlines()
        if ":\t" in line
    )
    assert int(named["CapEff"], 16) == 1 << 2  # CAP_DAC_READ_SEARCH
    assert (named["NoNewPrivs"], named["Seccomp"]) == ("1", "2")
