"""Real guests and containers that end badly, and runs that are killed: each is told, and nothing of it runs on."""

import dataclasses
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.cli.running import command_lines, eventually, is_running
from tests.vm import cache, qemu
from tests.vm.errors import VmError
from tests.vm.kernels import chosen
from tests.vm.nspawn import cgroup_of, own_cgroup
from tests.vm.run_kernels import guest_of

BOOTED_S = 120  # on a busy machine; some 10 on a quiet one
HANGS_AFTER_S = 20


@pytest.fixture
def guest() -> qemu.Guest:
    """One whose logs are not those of the known answers."""
    (machine,) = chosen(["6.1"])
    return dataclasses.replace(guest_of(machine), name="bad-ends")


def is_over(guest: qemu.Guest) -> bool:
    """Whether neither QEMU runs, which is told of the guest's logs, nor a virtiofsd that shares this checkout."""
    told = (f"jostle.run={qemu.directory_of(guest)}", f"source={cache.CHECKOUT}")
    return not any(map(is_running, told))


def text_of(log: Path) -> str:
    return log.read_text(errors="replace") if log.is_file() else ""


def is_nspawn_of(machine: str) -> bool:
    return any(line.startswith("systemd-nspawn ") and machine in line for line in command_lines())


def start_killable(script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", script], cwd=cache.CHECKOUT, start_new_session=True)


@pytest.mark.guest
def test_a_guest_that_panics_is_told_with_its_last_words(guest: qemu.Guest) -> None:
    with pytest.raises(VmError, match=r"Kernel panic - not syncing: .*; log: .*/bad-ends/console\.log$"):
        qemu.run(guest, "echo c >/proc/sysrq-trigger; sleep 600", limit_s=BOOTED_S)
    assert is_over(guest)


@pytest.mark.guest
def test_a_guest_that_hangs_is_ended(guest: qemu.Guest) -> None:
    with pytest.raises(VmError, match=rf"not at its end after {HANGS_AFTER_S} s; log: .*/console\.log$"):
        qemu.run(guest, "echo it hangs; sleep 600", limit_s=HANGS_AFTER_S)
    assert is_over(guest)


@pytest.mark.guest
def test_a_guest_ends_with_a_run_that_is_killed(guest: qemu.Guest) -> None:
    log = qemu.directory_of(guest) / "console.log"
    log.unlink(missing_ok=True)
    harness = start_killable(
        "from tests.vm.test_bad_ends import *\n"
        "guest = dataclasses.replace(guest_of(chosen(['6.1'])[0]), name='bad-ends')\n"
        "qemu.run(guest, 'echo it runs; sleep 600', limit_s=600)"
    )
    assert eventually(lambda: "it runs" in text_of(log) or harness.poll() is not None)
    assert not is_over(guest)
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert eventually(lambda: is_over(guest))


@pytest.mark.systemd
def test_a_container_ends_with_a_run_that_is_killed() -> None:
    harness = start_killable(
        "from tests.vm.nspawn import *\nwith booted('bad-ends', []) as container:\n    time.sleep(600)"
    )
    machine, left = f"--machine=jostle-{harness.pid}", cgroup_of(harness.pid)
    # nspawn itself: until setpriv has run, what was started is not tied to the run yet.
    booting = partial(is_nspawn_of, machine)
    assert eventually(lambda: booting() or harness.poll() is not None)
    assert booting()
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert eventually(lambda: not is_running(machine))
    assert left.exists()
    with own_cgroup():
        assert not left.exists()
