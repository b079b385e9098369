"""However jostle and its helpers die, hang or are stopped: nothing stays frozen or capped beyond its lease.

A few moments of each here, all at once; `python -m tests.attack.deaths` has as many as one likes.
"""

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.sandbox.cgroups import remove_tree
from agent.sandbox.janitor import Janitor
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import foreign_cgroup
from tests.attack import deaths
from tests.cli.running import eventually

pytestmark = pytest.mark.kernel


def test_no_way_to_die_or_hang_leaves_a_change_in_force() -> None:
    dice = random.Random(7)  # noqa: S311  moments, no secrets
    with ThreadPoolExecutor(len(deaths.WAYS)) as pool:
        times = dict(
            zip(
                deaths.WAYS,
                pool.map(lambda way: deaths.outlived_s(way, dice.uniform(0, 2)), deaths.WAYS),
                strict=True,
            )
        )
    assert {way: late_s for way, late_s in times.items() if late_s > deaths.OUTLIVES_S} == {}


@pytest.mark.parametrize("file", ["freezer.state", "cpu.cfs_quota_us"])
@pytest.mark.parametrize("ends", ["its block", "SIGKILL"])
def test_a_cgroup_that_is_renamed_meanwhile_is_put_back_and_its_namesake_is_let_be(
    file: str, ends: str
) -> None:
    mount = detect_layout().v1_mounts.get(file.partition(".")[0])
    if mount is None:
        pytest.skip("cgroups can be renamed in hierarchies of v1 alone (cgroup1_rename)")
    during, after = {"freezer.state": ("FROZEN", "THAWED"), "cpu.cfs_quota_us": ("20000", "-1")}[file]
    with foreign_cgroup([mount], "exec sleep 1000") as group:
        (before,) = group.directories
        renamed = before.with_name(f"{before.name}-renamed")

        def hold() -> None:
            with Janitor(()) as janitor, janitor.changed(before / file, during, after):
                before.rename(renamed)
                before.mkdir()
                (before / file).write_text(during)
                if ends == "SIGKILL":
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            if pid := os.fork():
                os.waitpid(pid, 0)
            else:
                hold()
                os._exit(0)
            assert eventually(lambda: (renamed / file).read_text().strip() == after)
            assert (before / file).read_text().strip() in {during, "FREEZING"}
            (before / file).write_text(after)
        finally:
            remove_tree(before)
            renamed.rename(before)
