"""Every name of a real cgroup, in every command that takes one: all mean the same, and what is wrong ends with 2."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import foreign_cgroup, host_mounts
from tests.cli.running import JOSTLE, LONG_S, ROOT, eventually, is_one_line, run

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Known:
    """A cgroup with one process, which is called as no other on this host."""

    group: Group
    pid: int
    process_name: str


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    name = f"jt{os.getpid():x}zz"
    shutil.copy("/bin/sleep", tmp_path / name)
    layout = detect_layout()
    with foreign_cgroup(host_mounts(layout), f"exec {tmp_path / name} 1000", inner="inner") as group:
        pid = min(group.pids())
        assert eventually(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == name)
        yield Known(group, pid, name)


def names_of(known: Known) -> list[str]:
    inner = f"{known.group.path}/inner"
    directories = [str(directory / "inner") for directory in known.group.directories]
    return [inner, f"{inner[1:]}/", *directories, str(known.pid), known.process_name]


def test_an_experiment_takes_every_name(tmp_path: Path, known: Known) -> None:
    # That a neighbour is the victim is told of paths: so both names were understood, and nothing needs to run.
    for name in names_of(known):
        words = ["--victim-cgroup", name, "--neighbour-cgroup", known.group.path, "--allow-freeze"]
        ended = run("experiment", *words, "-o", str(tmp_path / "out"))
        assert ended.code == 2
        assert f"the neighbour {known.group.path} contains the victim {known.group.path}/inner" in ended.err


def test_blame_top_and_record_take_a_process(tmp_path: Path, known: Known) -> None:
    found = run("blame", known.process_name, "-d", "0.2", "--json")
    assert json.loads(found.out)["cgroup"] == f"{known.group.path}/inner"
    assert run("top", "--once", "--cgroup", str(known.pid), "-i", "0.2").code == 0
    ended = run(
        "record", "-d", "0.2", "--cgroup", known.process_name, "-o", str(tmp_path / "a.run"), "--json"
    )
    assert ended.code == 0
    assert {cgroup["path"] for cgroup in json.loads(ended.out)["cgroups"]} <= {f"{known.group.path}/inner"}


@pytest.mark.parametrize(
    "words",
    [
        ["blame", "WRONG"],
        ["top", "--once", "--cgroup", "WRONG"],
        ["record", "-d", "1000", "--cgroup", "WRONG"],
        ["experiment", "--victim-cgroup", "WRONG", "--neighbour", "true"],
        ["experiment", "--victim", "true", "--neighbour-cgroup", "WRONG", "--allow-freeze"],
    ],
)
def test_what_is_almost_right_is_refused_with_what_is(tmp_path: Path, known: Known, words: list[str]) -> None:
    almost = known.group.path[1:-1]
    ended = run(*(almost if word == "WRONG" else word for word in words), cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert f"there is no cgroup {almost}: perhaps one of: {known.group.path}" in ended.err
    assert not list(tmp_path.glob("*.run"))


def test_nothing_recorded_matches_is_no_all_clear_either(tmp_path: Path, known: Known) -> None:
    recording, almost = str(tmp_path / "a.run"), known.group.path[1:-1]
    assert run("record", "-d", "0.3", "-i", "0.1", "-o", recording).code == 0
    asked = [
        ["blame", "", "-d", "1"],
        ["blame", "", "--run", recording],
        ["blame", almost, "--run", recording],
        ["blame", almost, "--at", "now", "--history-file", recording],
        ["report", "--history-file", recording, "--since", "10m", "--cgroup", almost],
        ["compare", recording, recording, "--cgroup", almost],
        ["compare", "--within", recording, "--tenant", almost, "--cgroup", "/"],
    ]
    ended = [run(*words) for words in asked]
    assert [(each.code, each.out, is_one_line(each.err)) for each in ended] == [(2, "", True)] * len(asked)
    assert [each.err for each in ended[2:] if almost not in each.err] == []


def test_a_name_of_two_is_refused_with_both() -> None:
    mounts, twin = host_mounts(detect_layout()), f"twin-{os.getpid()}"
    with foreign_cgroup(mounts, inner=twin) as one, foreign_cgroup(mounts, inner=twin) as other:
        ended = run("blame", twin)
        paths = ", ".join(sorted(f"{group.path}/{twin}" for group in (one, other)))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert f"2 cgroups are called {twin}: give the path of one: {paths}" in ended.err


def in_a_namespace_of(group: Group, *words: str) -> "subprocess.CompletedProcess[str]":
    """A jostle in this cgroup, and in a cgroup namespace whose top that is."""
    join = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in group.directories)
    return subprocess.run(
        ["sh", "-c", f"{join} && exec unshare -C {shlex.join([*JOSTLE, *words])}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_in_a_cgroup_namespace_of_its_own_a_pid_is_found(known: Known) -> None:
    inner = Group(f"{known.group.path}/inner", tuple(each / "inner" for each in known.group.directories))
    ended = in_a_namespace_of(inner, "blame", str(known.pid), "-d", "0.2", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["cgroup"] == inner.path


def test_in_a_cgroup_namespace_of_its_own_others_are_found_too(known: Known) -> None:
    with foreign_cgroup(host_mounts(detect_layout()), "exec sleep 1000") as ours:
        ended = in_a_namespace_of(ours, "blame", str(known.pid), "-d", "0.2", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["cgroup"] == f"{known.group.path}/inner"
