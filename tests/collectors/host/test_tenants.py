"""Who stands for whom in a tree of cgroups."""

import pytest

from collectors.host.tenants import culprits, tenant_of

VICTIM = "/system.slice/api.service"


@pytest.mark.parametrize(
    ("path", "victim", "tenant"),
    [
        ("/tenant-b/7", "/tenant-a", "/tenant-b"),
        ("/tenant-b/7", "/tenant-b/8", "/tenant-b/7"),
        ("/tenant-b", "/tenant-b/8", "/tenant-b"),
        ("/system.slice/batch.service/7", VICTIM, "/system.slice/batch.service"),
        ("/system.slice/batch.service/7", "/tenant-a", "/system.slice/batch.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", VICTIM, "/user.slice/user-1000.slice"),
        ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/c", VICTIM,
         "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"),
        ("/kubepods/besteffort/pod1/c", "/kubepods/besteffort/pod2/c", "/kubepods/besteffort/pod1"),
        ("/", "/tenant-a", "/"),
        ("kernel", "/tenant-a", "kernel"),
        ("/tenant-b/7", "kernel", "/tenant-b"),
    ],
)  # fmt: skip
def test_a_tenant_is_the_highest_that_does_not_hold_the_victim(path: str, victim: str, tenant: str) -> None:
    assert tenant_of(path, victim) == tenant


def test_a_tenant_does_not_hide_behind_names_of_groups_below_its_own_cgroup() -> None:
    names = [f"/tenant-b/docker/system.slice/{number}.service" for number in range(40)]
    assert set(culprits([*names, "/tenant-b/x"], VICTIM).values()) == {"/tenant-b"}


def test_a_culprit_is_the_lowest_that_holds_all_of_a_tenant() -> None:
    names = ["/b/jobs/1", "/b/jobs/2", "/c/app", "kernel", "/"]
    assert culprits(names, "/a") == {
        "/b/jobs/1": "/b/jobs",
        "/b/jobs/2": "/b/jobs",
        "/c/app": "/c/app",
        "kernel": "kernel",
        "/": "/",
    }


@pytest.mark.parametrize(("depth", "of"), [(1, "/b"), (2, "/b/jobs"), (3, "/b/jobs/1"), (9, "/b/jobs/1")])
def test_a_depth_that_is_asked_for(depth: int, of: str) -> None:
    assert culprits(["/b/jobs/1", "kernel"], "/a", depth) == {"/b/jobs/1": of, "kernel": "kernel"}


def test_no_depth_charges_a_victim_for_itself() -> None:
    assert culprits(["/b/jobs/1"], "/b/api/x", 1) == {"/b/jobs/1": "/b/jobs"}
