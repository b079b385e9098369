"""Hosts that lack something: exit code 3 with the remedy, in one line, and nothing started or left."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probes.perf_event import CYCLES, available
from tests.cli.running import JOSTLE, LONG_S, ROOT, Ended, is_one_line, run

pytestmark = pytest.mark.kernel

EXPERIMENT = ("experiment", "--victim", "true", "--neighbour", "true")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def within(wrapper: tuple[str, ...], words: tuple[str, ...], cwd: Path, source: Path = ROOT) -> Ended:
    done = subprocess.run(
        [*wrapper, *JOSTLE, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=LONG_S,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    # libbpf has a word of its own to say on a missing BTF.
    ours = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("libbpf: "))
    return Ended(0, done.returncode, done.stdout, ours)


def without_btf(words: tuple[str, ...], cwd: Path) -> Ended:
    hide = 'mount -t tmpfs tmpfs /sys/kernel/btf && exec "$@"'
    return within(("unshare", "-m", "sh", "-c", hide, "sh"), words, cwd)


def without_cgroups(words: tuple[str, ...], cwd: Path) -> Ended:
    mounts = "$(awk '/ - cgroup/ {print $5}' /proc/self/mountinfo)"
    return within(("unshare", "-m", "sh", "-c", f'umount -l {mounts} && exec "$@"', "sh"), words, cwd)


@pytest.mark.parametrize("words", [EXPERIMENT, ("record", "-d", "1")])
def test_without_privilege_the_remedy_is_told_and_nothing_is_made(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    if within((*NOBODY, sys.executable, "-c", "import agent; raise SystemExit"), (), ROOT).code:
        pytest.skip("nobody may not read this checkout")
    (tmp_path / "writable").mkdir()
    ended = within(NOBODY, words, Path("/"))
    assert (ended.code, ended.out) == (3, "")
    assert is_one_line(ended.err)
    assert "root" in ended.err


@pytest.mark.parametrize("words", [EXPERIMENT, ("record", "-d", "1"), ("record", "--", "true")])
def test_without_type_information_the_remedy_is_told_and_nothing_is_left(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    ended = without_btf(words, tmp_path)
    assert (ended.code, ended.out) == (3, "")
    assert is_one_line(ended.err)
    assert "CONFIG_DEBUG_INFO_BTF" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_without_cgroups_the_remedy_is_told(tmp_path: Path) -> None:
    ended = without_cgroups(EXPERIMENT, tmp_path)
    assert (ended.code, ended.out) == (3, "")
    assert is_one_line(ended.err)
    assert "cgroup" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_doctor_tells_what_is_missing_without_failing(tmp_path: Path) -> None:
    ended = without_btf(("doctor", "--json"), tmp_path)
    assert (ended.code, ended.err) == (0, "")
    states = {entry["name"]: entry["state"] for entry in json.loads(ended.out)["capabilities"]}
    assert states["scheduler latency"] == "missing"
    assert states["cgroups"] != "missing"


def test_doctor_fails_where_nothing_can_be_measured(tmp_path: Path) -> None:
    ended = without_cgroups(("doctor",), tmp_path)
    assert ended.code == 3
    assert "cgroups" in ended.out
    assert is_one_line(ended.err)


def test_doctor_on_this_host() -> None:
    ended = run("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    signals = {entry["name"]: entry for entry in json.loads(ended.out)["capabilities"]}
    assert signals["scheduler latency"]["state"] == "available"
    assert all(
        entry["reason"] and set(entry) == {"name", "state", "reason", "remedy"} for entry in signals.values()
    )
    refusal = available([CYCLES])[CYCLES]
    assert signals["ipc"]["state"] == ("missing" if refusal else "available")
    if refusal:
        assert (signals["ipc"]["reason"], signals["ipc"]["remedy"]) == (refusal.reason, refusal.remedy)
    assert shutil.which("setpriv")


def test_doctor_says_first_in_words_what_can_be_measured() -> None:
    ended = run("doctor")
    words = " ".join(ended.out.split("\n\n")[0].split())
    assert "This host can measure waits for a CPU and behind whom" in words
