"""What judges, builds and chooses, without a guest."""

import contextlib
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from tests.vm import cache, debian, image, qemu, run_kernels
from tests.vm.errors import VmError
from tests.vm.image import load_order
from tests.vm.kernels import MACHINES, Machine, chosen
from tests.vm.run_kernels import main, recorded, summary
from tests.vm.support_table import outcomes, signals, table
from tests.vm.verdict import judge

SLEEPS = "import time; time.sleep(600)"
GOOD = b"\nmain: 7.3\njostle-vm n exit 0\n"


def log_of(directory: Path, text: str) -> Path:
    log = directory / "console.log"
    log.write_text(text)
    return log


def test_the_marker_line_alone_says_that_a_guest_passed(tmp_path: Path) -> None:
    judge("6.1", log_of(tmp_path, "noise\r\njostle-vm abc exit 0\r\nreboot: Power down"), "abc")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5 passed\njostle-vm abc exit 1\n", "failed with code 1"),
        ("[ 2.1] Kernel panic - not syncing: no init\n[ 2.2] more\n", "Kernel panic - not syncing: no init"),
        ("init: no root\n", "init: no root"),
        ("one\njostle-vm other exit 0\n", "its last words were 'jostle-vm other exit 0'"),
        ("command: echo jostle-vm abc exit 0\n", "its last words were"),
        ("", "it said nothing"),
    ],
)
def test_anything_else_is_told_in_one_line_with_the_log(tmp_path: Path, text: str, told: str) -> None:
    log = log_of(tmp_path, text)
    with pytest.raises(VmError) as failed:
        judge("6.1", log, "abc")
    assert told in str(failed.value)
    assert str(log) in str(failed.value)
    assert "\n" not in str(failed.value)


def test_the_end_of_what_it_said_is_at_hand(tmp_path: Path) -> None:
    log = log_of(tmp_path, "\n".join(f"line {number}" for number in range(1000)) + "\r\nat last")
    last = VmError("it failed", log).last_lines().splitlines()
    assert last[-2:] == ["line 999", "at last"]
    assert len(last) < 100
    assert VmError("it failed", tmp_path / "not-there").last_lines() == ""
    assert VmError("it failed").last_lines() == ""


def test_one_that_hangs_is_ended_and_told(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("wb") as out:
        assert qemu._to_its_end([sys.executable, "-c", SLEEPS], tmp_path, out, 0.5) == "late"
    with pytest.raises(VmError, match=r"not at its end after 0\.5 s"):
        judge("6.1", log, "abc", timed_out_after_s=0.5)


def test_one_that_falls_silent_is_ended_before_its_time(tmp_path: Path) -> None:
    with (tmp_path / "console.log").open("wb") as out:
        speaks = "import time\nfor _ in range(12): print(1, flush=True); time.sleep(0.25)\n"
        assert qemu._to_its_end([sys.executable, "-c", speaks + SLEEPS], tmp_path, out, 60, 2) == "silent"
    assert (tmp_path / "console.log").read_text() == "1\n" * 12
    with (tmp_path / "console.log").open("wb") as out:
        assert qemu._to_its_end([sys.executable, "-c", speaks], tmp_path, out, 60, 2) == "ended"


def test_a_kernel_that_is_not_in_the_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["4.19"]) == 2
    assert "no kernel 4.19 in the table; known: 5.10, 6.1" in capsys.readouterr().err
    assert chosen([]) == list(MACHINES)
    assert [machine.name for machine in chosen(["7.3", "6.1-v1"])] == ["7.3", "6.1-v1"]
    assert [machine.name for machine in chosen(["6.1-256", "6.1-smp8"])] == ["6.1-256", "6.1-smp8"]
    assert len({machine.name for machine in MACHINES}) == len(MACHINES)


def test_tests_of_one_machine_are_there_and_run_nowhere_else() -> None:
    own = {Path(file) for machine in MACHINES for file in machine.own_tests}
    marked = {
        path.relative_to(cache.CHECKOUT)
        for path in (cache.CHECKOUT / "tests").rglob("test_*.py")
        if "pytest.mark.machine" in path.read_text() and path != Path(__file__)
    }
    assert own == marked != set()


def qemus(words: Sequence[str], option: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == option]


def test_a_machine_of_two_sockets_has_its_memory_and_its_cpus_in_halves() -> None:
    words = qemu.two_sockets(8)
    assert qemus(words, "-smp") == ["8,sockets=2,cores=2,threads=2"]
    assert qemus(words, "-numa") == ["node,cpus=0-3,memdev=mem0", "node,cpus=4-7,memdev=mem1"]
    sizes = [re.search(r"size=(\d+)M,share=on$", each) for each in qemus(words, "-object")]
    assert sum(int(size[1]) for size in sizes if size) == qemu._MEMORY_MB


def test_possible_cpus_are_asked_for_on_both_command_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU has half of them, so that jostle makes room for them all, and the kernel starts two."""
    for module, name in ((debian, "kernel"), (image, "initrd"), (image, "root_image")):
        monkeypatch.setattr(module, name, lambda *_what: Path())
    (many, usual) = (run_kernels.guest_of(machine, disk=Path) for machine in without_unit("6.1-256", "6.1"))
    assert qemus(many.machine, "-smp") == ["128"]
    assert set(many.words) == {"possible_cpus=256", "maxcpus=2"}
    assert (qemus(usual.machine, "-smp"), usual.words) == (["2"], ())


def without_unit(*names: str) -> list[Machine]:
    """So that nothing is installed for them."""
    return [replace(machine, unit=False) for machine in chosen(list(names))]


def test_modules_are_loaded_after_what_they_need() -> None:
    dep = "fs/ext4.ko.xz: lib/crc16.ko.xz fs/mbcache.ko.xz\nfs/mbcache.ko.xz:\nlib/crc16.ko.xz:\nfs/fuse.ko.xz:\n"
    order = ["fs/fuse.ko.xz", "fs/mbcache.ko.xz", "lib/crc16.ko.xz", "fs/ext4.ko.xz"]
    assert load_order(dep, ("fuse", "built_in", "ext4")) == order


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ('tests="3" failures="0" errors="0" skipped="1"', "2 passed, 1 skipped"),
        ('tests="3" failures="0" errors="0" skipped="0"', "3 passed"),
    ],
)
def test_how_many_tests_passed(tmp_path: Path, counts: str, told: str) -> None:
    results = log_of(tmp_path, f"<testsuites><testsuite {counts}/></testsuites>")
    assert summary(results) == told


def test_what_tests_measured_is_printed_in_their_order(tmp_path: Path) -> None:
    properties = '<properties><property name="{}" value="1"/><property name="{}" value="2 MiB"/></properties>'
    results = log_of(
        tmp_path,
        f"<testsuites><testsuite><testcase>{properties.format('b', 'a')}</testcase></testsuite></testsuites>",
    )
    assert recorded(results) == ["b: 1", "a: 2 MiB"]


@pytest.mark.parametrize(
    "counts",
    ['tests="3" failures="1" errors="0" skipped="0"', 'tests="2" failures="0" errors="0" skipped="2"'],
)
def test_a_run_in_which_nothing_passed_is_no_success(tmp_path: Path, counts: str) -> None:
    results = log_of(tmp_path, f"<testsuites><testsuite {counts}/></testsuites>")
    with pytest.raises(VmError):
        summary(results)


def test_what_is_made_is_kept_until_its_recipe_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    monkeypatch.setattr(cache, "_FREE_BYTES", 0)
    places = [cache.made("thing", recipe, lambda place: (place / recipe).touch()) for recipe in "aab"]  # noqa: B023
    assert set(places) == {tmp_path / "thing"}
    assert [path.name for path in (tmp_path / "thing").iterdir()] == ["b"]


def test_what_was_not_made_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    monkeypatch.setattr(cache, "_FREE_BYTES", 0)

    def fail(place: Path) -> None:
        (place / "half").touch()
        cache.run(["sh", "-c", "echo no such package >&2; exit 100"], tmp_path / "build.log")

    with pytest.raises(VmError, match=rf"sh failed with code 100; log: {tmp_path}/build.log"):
        cache.made("thing", "a", fail)
    assert not (tmp_path / "thing").exists()
    assert (tmp_path / "build.log").read_text() == "no such package\n"


def test_no_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(VmError, match=r"MB are needed: make room there"):
        cache.require_room(tmp_path / "cache", 1 << 60)


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(VmError, match="no-such-program is not installed"):
        cache.run(["no-such-program"], tmp_path / "build.log")


def test_the_table_shows_what_each_run_found(tmp_path: Path) -> None:
    doctor, results = tmp_path / "doctor.json", tmp_path / "results.xml"
    doctor.write_text(
        '{"capabilities": [{"name": "ipc", "state": "missing"}, {"name": "psi", "state": "available"}]}'
    )
    results.write_text(
        '<testsuites><testsuite><testcase name="test_it_adds_up"/><testcase name="test_b"><skipped/></testcase>'
        '<testcase name="test_c"><failure/></testcase></testsuite></testsuites>'
    )
    assert outcomes(results) == {"it adds up": "passed", "b": "skipped", "c": "**failed**"}
    assert list(table("signal", {"6.1": signals(doctor), "7.3": {"ipc": "available"}})) == [
        "| signal | 6.1 | 7.3 |",
        "| --- | --- | --- |",
        "| ipc | missing | available |",
        "| psi | available | not run |",
    ]


@pytest.mark.parametrize(
    ("ends", "boots"),
    [
        ((("ended", GOOD),), 1),
        ((("ended", b"Kernel panic - not syncing: int3\n"), ("ended", GOOD)), 2),
        ((("silent", b"\nmain: 7.3\n1 passed"), ("ended", GOOD)), 2),
    ],
)
def test_a_guest_that_ends_before_anything_of_ours_or_falls_silent_is_booted_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: tuple[tuple[str, bytes], ...], boots: int
) -> None:
    left = list(ends)

    def end(_command: object, _directory: object, out: IO[bytes], *_limits_s: float) -> str:
        how, said = left.pop(0)
        out.write(said)
        return how

    monkeypatch.setattr(qemu, "_to_its_end", end)
    monkeypatch.setattr(qemu, "_shared_checkout", lambda _directory: contextlib.nullcontext())
    monkeypatch.setattr(qemu, "directory_of", lambda _guest: tmp_path)
    monkeypatch.setattr("secrets.token_hex", lambda _size: "n")
    guest = qemu.Guest("guest", ("qemu",), "ttyS0", Path("kernel"), Path("initrd"), Path("image"))
    qemu.run(guest, "true", limit_s=1)
    assert len(ends) - len(left) == boots
