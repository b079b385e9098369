"""What the tiers without BPF share: keys that are never used twice, and waits charged to nobody."""

from collectors.sources.below_ebpf import Unattached, figures, new_keys, snapshot


def test_a_path_that_comes_again_has_another_key() -> None:
    keys = new_keys()
    first, other = keys["/a"], keys["/b"]
    del keys["/a"]
    assert len({first, other, keys["/a"]}) == 3


def test_all_of_the_wait_is_charged_to_nobody() -> None:
    keys = new_keys()
    found = snapshot({"/a": figures(30, 12, throttled_ns=4)}, keys, {"/a": 2, "/gone": 1}, 50)
    (cgroup,) = found.cgroups.values()
    assert (cgroup.run_ns, cgroup.wait_ns, cgroup.unattributed_ns, cgroup.throttled_ns) == (30, 12, 12, 4)
    assert (cgroup.self_ns, sum(cgroup.histogram)) == (0, 0)
    assert (found.tasks, found.reach_ns) == ({keys["/a"]: 2}, 50)
    assert (found.paths, dict(found.waits), found.untracked) == ({keys["/a"]: "/a"}, {}, 0)


def test_there_is_nothing_to_cost_or_to_leave_out() -> None:
    source = Unattached()
    source.shed(2)
    assert source.cost() is None
