"""The tier of pressure alone."""

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.hierarchy import CgroupLayout, detect_layout, is_within
from collectors.host.readings import Missing
from collectors.sources.psi_source import NONE, Pressed, PsiSource, own_growth, read_pressed
from collectors.sources.tiers import open_source
from collectors.windows import sched
from probes.errors import HostError
from tests.kernel.situations import Situation, a_cpu, spin

amounts = st.integers(0, 10**12)
own = st.builds(Pressed, amounts, amounts)
PATHS = ("/a", "/a/x", "/a/x/y", "/a/z", "/b")


def lay(directory: Path, run_us: int, wait_us: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cpu.stat").write_text(f"usage_usec {run_us}\nuser_usec 0\n")
    (directory / "cpu.pressure").write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={wait_us}\n")


def with_those_below(own_figures: dict[str, Pressed]) -> dict[str, Pressed]:
    """As the kernel counts: what is below a cgroup is in its figures too."""
    found = {}
    for path in own_figures:
        inside = [each for name, each in own_figures.items() if is_within(name, path)]
        found[path] = Pressed(sum(each.run_ns for each in inside), sum(each.wait_ns for each in inside))
    return found


@given(st.fixed_dictionaries(dict.fromkeys(PATHS, own)), st.fixed_dictionaries(dict.fromkeys(PATHS, own)))
def test_each_cgroup_keeps_what_is_not_of_those_below_it(
    first: dict[str, Pressed], grown: dict[str, Pressed]
) -> None:
    second = {path: first[path].plus(grown[path]) for path in PATHS}
    assert own_growth(with_those_below(first), with_those_below(second)) == grown


def test_the_first_reading_is_where_it_begins() -> None:
    assert own_growth({}, {"/a": Pressed(5, 7)}) == {"/a": NONE}


def test_a_new_cgroup_counts_from_its_making_and_one_that_went_leaves_its_parent_its_last() -> None:
    before = {"/a": Pressed(100, 10), "/a/old": Pressed(60, 6)}
    after = {"/a": Pressed(130, 13), "/a/new": Pressed(20, 2)}
    assert own_growth(before, after) == {"/a": Pressed(10, 1), "/a/new": Pressed(20, 2)}


def test_snapshots_of_a_tree(tmp_path: Path) -> None:
    layout = CgroupLayout("v2", tmp_path, {}, "v2", None)
    lay(tmp_path / "a", 10, 1)
    with PsiSource(layout) as source:
        first = source.read()
        lay(tmp_path / "a", 40, 11)
        second = source.read()
    found = sched.window(first, second).cgroups
    assert list(found) == ["/a"]
    assert (found["/a"].run_ns, found["/a"].wait_ns, found["/a"].unattributed_ns) == (30_000, 10_000, 10_000)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_pressure_is_never_more_than_there_was_time_for(
    tmp_path_factory: pytest.TempPathFactory, run_us: int, wait_us: int
) -> None:
    mount = tmp_path_factory.mktemp("cgroup")
    lay(mount / "a", 0, 0)
    began_ns = time.monotonic_ns()
    with PsiSource(CgroupLayout("v2", mount, {}, "v2", None)) as source:
        first = source.read()
        lay(mount / "a", run_us, wait_us)
        window = sched.window(first, source.read())
    passed_ns = time.monotonic_ns() - began_ns
    told = [cgroup.run_ns + cgroup.wait_ns for cgroup in window.cgroups.values()]
    # One that runs on each CPU and one that waits.
    assert all(ns <= (1 + (os.cpu_count() or 1)) * (passed_ns + 20_000_000) for ns in told)
    assert len(told) + window.impossible == (run_us + wait_us > 0)
    assert told in ([], [1000 * (run_us + wait_us)])


def test_a_new_cgroup_inherits_nothing_of_one_that_went(tmp_path: Path) -> None:
    with PsiSource(CgroupLayout("v2", tmp_path, {}, "v2", None)) as source:
        lay(tmp_path / "staying", 10, 1)
        source.read()
        lay(tmp_path / "old", 5_000, 1)
        source.read()
        shutil.rmtree(tmp_path / "old")
        before = source.read()
        lay(tmp_path / "new", 30, 1)
        window = sched.window(before, source.read())
    assert window.cgroups["/new"].run_ns == 30_000


@pytest.mark.parametrize(
    ("file", "text"), [("cpu.stat", "user_usec 5\n"), ("cpu.pressure", "full total=1\n")]
)
def test_what_is_no_figure_is_missing(file: str, text: str, tmp_path: Path) -> None:
    lay(tmp_path, 1, 1)
    (tmp_path / file).write_text(text)
    assert isinstance(read_pressed(tmp_path), Missing)
    (tmp_path / file).unlink()
    assert isinstance(read_pressed(tmp_path), Missing)


def test_a_host_without_pressure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/cpu.stat").write_text("usage_usec 1\n")
    with pytest.raises(HostError, match="psi=1"), PsiSource(CgroupLayout("v2", tmp_path, {}, "v2", None)):
        pass
    with pytest.raises(HostError, match="cgroup2"), PsiSource(CgroupLayout("v1", None, {}, "v1", 3)):
        pass


@pytest.mark.kernel
def test_a_cgroups_pressure_is_its_one_tasks_wait() -> None:
    with Situation() as situation:
        victim, neighbour = situation.group("victim"), situation.group("neighbour")
        task = situation.process(spin, victim, {a_cpu()})
        situation.process(spin, neighbour, {a_cpu()})
        with open_source(detect_layout(), "psi") as source:
            first, base = source.read(), task.schedstat
            situation.go(3.0)
            second, now = source.read(), task.schedstat
        found = sched.window(first, second).cgroups[victim.path]
    assert found.run_ns == pytest.approx(now.run_ns - base.run_ns, rel=0.05, abs=10_000_000)
    assert found.wait_ns == pytest.approx(now.wait_ns - base.wait_ns, rel=0.1, abs=50_000_000)
    assert found.unattributed_ns == found.wait_ns
