"""Which cgroup is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.resolver import MOST_SUGGESTIONS, find_cgroup, nearest, with_ancestors
from probes.errors import UsageError

KNOWN = [
    "/system.slice/nginx.service",
    "/system.slice/cron.service",
    "/a.slice/worker",
    "/b.slice/worker",
    "/kubepods/pod1/app",
    "kernel",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("/system.slice/nginx.service", "/system.slice/nginx.service"),
        ("system.slice/nginx.service/", "/system.slice/nginx.service"),
        ("nginx.service", "/system.slice/nginx.service"),
        ("/kubepods", "/kubepods"),  # an ancestor that has no tasks of its own
        ("pod1", "/kubepods/pod1"),
        ("/", "/"),
    ],
)
def test_a_path_or_its_last_part_is_enough(wanted: str, found: str) -> None:
    assert find_cgroup(wanted, KNOWN) == found


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("worker", "2 cgroups are called worker: give the path of one: /a.slice/worker, /b.slice/worker"),
        ("nginx", "there is no cgroup nginx: perhaps one of: /system.slice/nginx.service"),
        ("/system.slice/ngnix.service", "perhaps one of: /system.slice/nginx.service"),
        ("CRON", "perhaps one of: /system.slice/cron.service"),
        ("kernel", "there is no cgroup kernel: `jostle top --once` lists"),
        ("zzz", "`jostle top --once` lists"),
    ],
)
def test_an_unknown_one_is_refused_with_those_near_it(wanted: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_cgroup(wanted, KNOWN)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("homes", "told"),
    [
        ([], "perhaps one of: /system.slice/nginx.service"),
        (
            ["/a.slice/web", "/b.slice/web"],
            "run in 2 cgroups: give the path of one: /a.slice/web, /b.slice/web",
        ),
    ],
)
def test_a_process_that_runs_nowhere_or_in_several_is_refused(homes: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_cgroup("nginx", KNOWN, lambda _: homes)
    assert told in str(caught.value)


def test_a_process_is_asked_for_only_when_no_cgroup_is_called_so() -> None:
    asked: list[str] = []

    def of_processes(wanted: str) -> list[str]:
        asked.append(wanted)
        return ["/system.slice/nginx.service"]

    assert find_cgroup("cron.service", KNOWN, of_processes) == "/system.slice/cron.service"
    assert find_cgroup("nginx", KNOWN, of_processes) == "/system.slice/nginx.service"
    assert asked == ["nginx"]


@given(st.lists(st.text("ab/", min_size=1).map(lambda text: f"/{text}"), max_size=8), st.text("ab/"))
def test_suggestions_are_few_distinct_and_known(paths: list[str], wanted: str) -> None:
    found = nearest(wanted, paths)
    assert len(found) <= MOST_SUGGESTIONS
    assert len(set(found)) == len(found)
    assert set(found) <= set(paths)


def test_ancestors_are_known() -> None:
    assert with_ancestors(["/a/b/c", "other"]) == {"/", "/a", "/a/b", "/a/b/c"}
