"""Which cgroup is meant: every way to say it, and every way to be wrong."""

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.resolver import (
    MOST_SUGGESTIONS,
    Cgroups,
    Homes,
    filters,
    matches,
    nearest,
    require_matched,
    resolve,
    unmatched,
    workloads_among,
)
from collectors.host.workloads import Workload, identify
from probes.errors import HostError, UsageError
from tests.collectors.tree import CGROUPFS, IDS, SYSTEMD

WEB, SHOP, OTHER_SHOP = "d4e5" * 16, "1234" * 16, "12ab" * 16
POD, OTHER_POD = (
    "/kubepods/pod" + "1" * 8 + "-1111" * 3 + "-" + "1" * 12,
    "/kubepods/pod" + "2" * 8 + "-2222" * 3 + ("-" + "2" * 12),
)
KNOWN = [
    "/system.slice/nginx.service",
    "/system.slice/cron.service",
    "/system.slice/cron.socket",
    "/system.slice/dev-disk\\x2droot.service",
    "/a.slice/worker",
    "/b.slice/worker",
    f"/docker/{WEB}/init",
    f"{POD}/{SHOP}",
    f"{OTHER_POD}/{OTHER_SHOP}",
    "/odd/a[b]",
    "kernel",
]
NAMES = {
    WEB: {"name": "web"},
    SHOP: {"name": "prod/shop-0/api", "namespace": "prod", "pod_name": "shop-0"},
    OTHER_SHOP: {
        "name": "test/shop-0/api",
        "namespace": "test",
        "pod_name": "shop-0",
        "container_name": "api",
    },
}
HOMES = {
    "redis-server": Homes((f"/docker/{WEB}/init",)),
    "java": Homes(("/a.slice/worker", "/b.slice/worker")),
    "4711": Homes(("/a.slice/worker",)),
    "1234": Homes(("/a.slice/worker",)),
    "1": Homes(in_root=True),
    "99": Homes(unseen=True),
}


def named(path: str) -> Workload:
    workload = identify(path)
    known = NAMES.get(workload.container_id or "", {})
    return replace(
        workload,
        name=known.get("name", workload.name),
        namespace=known.get("namespace"),
        pod_name=known.get("pod_name"),
    )


def host(known: Iterable[str] = KNOWN, mounts: tuple[Path, ...] = ()) -> Cgroups:
    return Cgroups(
        known=known,
        names=lambda paths: workloads_among(paths, named),
        homes=lambda wanted: HOMES.get(wanted, Homes()),
        mounts=mounts,
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("/system.slice/nginx.service", "/system.slice/nginx.service"),
        ("system.slice/nginx.service/", "/system.slice/nginx.service"),
        ("//system.slice/./x/../nginx.service", "/system.slice/nginx.service"),
        ("/kubepods", "/kubepods"),  # an ancestor that has no tasks of its own
        ("/", "/"),
        ("/..", "/"),
        # by its last part, and as systemctl has it
        ("nginx.service", "/system.slice/nginx.service"),
        ("nginx", "/system.slice/nginx.service"),
        ("cron", "/system.slice/cron.service"),  # not the socket
        ("cron.socket", "/system.slice/cron.socket"),
        ("system", "/system.slice"),
        ("dev-disk-root", "/system.slice/dev-disk\\x2droot.service"),
        # containers, and pods
        ("web", f"/docker/{WEB}"),
        (WEB, f"/docker/{WEB}"),
        (WEB[:12], f"/docker/{WEB}"),
        (WEB[:4], f"/docker/{WEB}"),
        ("prod/shop-0/api", f"{POD}/{SHOP}"),
        ("prod/shop-0", POD),
        ("test/shop-0", OTHER_POD),
        # processes
        ("redis-server", f"/docker/{WEB}/init"),
        ("4711", "/a.slice/worker"),
    ],
)
def test_every_name_of_a_cgroup_is_enough(wanted: str, found: str) -> None:
    assert resolve(wanted, host()) == found


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("worker", "2 cgroups are called worker: give the path of one: /a.slice/worker, /b.slice/worker"),
        ("shop-0", "2 cgroups are called shop-0: give the path of one: pod 11111111-"),
        ("12", "there is no cgroup 12"),  # too short to be an id
        ("java", "processes called java run in 2 cgroups: give the path of one: /a.slice/worker, /b.slice/"),
        ("ngin", "there is no cgroup ngin: perhaps one of: /system.slice/nginx.service"),
        ("/system.slice/ngnix.service", "perhaps one of: /system.slice/nginx.service"),
        ("/nginx.service", "perhaps one of: /system.slice/nginx.service"),  # a path, and wrong
        ("CRON", "perhaps one of: /system.slice/cron.service"),
        ("wbe", f"there is no cgroup wbe: perhaps one of: web (/docker/{WEB})"),
        ("prod/shop-1", "perhaps one of: "),
        ("kernel", "there is no cgroup kernel: `jostle top --once` lists"),
        ("zzzzzz", "there is no cgroup zzzzzz: `jostle top --once` lists"),
        ("", "there is no cgroup without a name"),
        ("  ", "there is no cgroup without a name"),
        (".", "there is no cgroup ."),
        ("1", "the process 1 is in the root cgroup, with all that has no cgroup of its own"),
    ],
)
def test_what_fits_nothing_or_several_is_refused_with_those_near_it(wanted: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(wanted, host())
    assert told in str(caught.value)


def test_digits_that_are_a_pid_and_begin_an_id_are_two_things() -> None:
    with pytest.raises(
        UsageError, match=r"1234 fits 2 cgroups: give the path of one: /a.slice/worker, prod/shop-0/"
    ):
        resolve("1234", host())


def test_an_id_prefix_of_two_containers_is_refused() -> None:
    one, other = "/docker/" + "ab" * 32, "/docker/" + "ab" * 31 + "cd"
    with pytest.raises(UsageError, match="abab fits 2 cgroups"):
        resolve("abab", host([one, other]))


def test_a_process_that_cannot_be_seen_is_refused_with_the_remedy() -> None:
    with pytest.raises(HostError, match="nsenter -t 1 -C") as caught:
        resolve("99", host())
    assert caught.value.exit_code == 3


def test_a_process_is_asked_for_only_when_no_cgroup_is_called_so() -> None:
    asked: list[str] = []

    def homes(wanted: str) -> Homes:
        asked.append(wanted)
        return Homes(("/a.slice/worker",))

    among = Cgroups(KNOWN, homes=homes)
    assert resolve("cron.service", among) == "/system.slice/cron.service"
    assert resolve("java", among) == "/a.slice/worker"
    assert asked == ["java"]


def test_names_are_read_only_when_a_path_is_not_enough() -> None:
    def never(_paths: Iterable[str]) -> dict[str, Workload]:
        raise AssertionError

    assert resolve("/a.slice/worker", Cgroups(KNOWN, names=never)) == "/a.slice/worker"


def test_a_directory_is_the_cgroup_that_it_is() -> None:
    mounts = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
    among = host(mounts=mounts)
    for mount in mounts:
        assert resolve(f"{mount}/system.slice/", among) == "/system.slice"
        assert resolve(str(mount), among) == "/"
    with pytest.raises(UsageError, match="there is no cgroup /sys/fs/cgroup/nosuch"):
        resolve("/sys/fs/cgroup/nosuch", among)


@pytest.mark.parametrize("paths", [SYSTEMD, CGROUPFS], ids=["systemd", "cgroupfs"])
def test_a_pod_is_found_by_its_container(paths: dict[str, str]) -> None:
    names = {"namespace": "jobs", "pod_name": "batch-0", "name": "jobs/batch-0/run"}
    NAMES[IDS["besteffort"]] = names
    assert resolve("jobs/batch-0", host(paths.values())) == paths["besteffort"].rpartition("/")[0]
    assert resolve("jobs/batch-0/run", host(paths.values())) == paths["besteffort"]


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("/system.slice/web.service", "/system.slice/*", True),
        ("/system.slice/web.service", "web.service", True),
        ("/system.slice/web.service", "*.slice", False),
        ("/system.slice/web.service", "/system.slice", True),  # all below it
        ("/system.slice", "/system.slice/web.service", False),
        ("/kubepods/pod1/app", "/kubepods/*", True),
        ("/kubepods", "kubepods", True),
        ("/Web", "web", False),
        ("/webs", "/web", False),
        ("/", "/", True),
        ("/odd/a[b]/c", "/odd/a[b]", True),  # a path may have wildcards in it
    ],
)
def test_a_cgroup_matches_by_path_or_by_last_part(path: str, pattern: str, *, expected: bool) -> None:
    assert matches(path, [pattern]) is expected


def test_filters_are_paths_for_names_and_patterns_as_they_are() -> None:
    wanted = ["web", "/system.slice/*", "*.service", "/odd/a[b]", "4711"]
    assert filters(wanted, host()) == (
        *(f"/docker/{WEB}", "/system.slice/*", "*.service", "/odd/a[b]", "/a.slice/worker"),
    )


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("hlt-web", "there is no cgroup hlt-web"),
        ("", "there is no cgroup without a name"),
        ("/nosuch/*", "there is no cgroup that matches /nosuch/\\*"),
        ("ngin?.servic", "that matches ngin\\?.servic: perhaps one of: /system.slice/nginx.service"),
        ("worker", "2 cgroups are called worker"),
    ],
)
def test_a_filter_that_matches_nothing_or_names_several_is_refused(wanted: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        filters(["*", wanted], host())


def test_a_pattern_may_match_later_and_a_name_may_not() -> None:
    assert filters(["/nosuch/*"], host(), later=True) == ("/nosuch/*",)
    with pytest.raises(UsageError, match="no cgroup hlt-web"):
        filters(["hlt-web"], host(), later=True)


def test_unmatched_patterns_are_told() -> None:
    assert unmatched(["/a*", "/z*", "worker"], KNOWN) == ["/z*"]
    require_matched(["/a*"], host())
    with pytest.raises(UsageError, match="that matches /z"):
        require_matched(["/a*", "/z*"], host())


@given(st.lists(st.text("ab/", min_size=1).map(lambda text: f"/{text}"), max_size=8), st.text("ab/*"))
def test_suggestions_are_few_distinct_and_known(paths: list[str], wanted: str) -> None:
    among = Cgroups(paths)
    found = nearest(wanted, among)
    assert len(found) <= MOST_SUGGESTIONS
    assert len(set(found)) == len(found)
    assert set(found) <= among.paths


@given(st.lists(st.text("ab./", min_size=1).map(lambda text: f"/{text}"), max_size=8), st.text("ab./"))
def test_what_is_found_is_known_and_every_path_finds_itself(paths: list[str], wanted: str) -> None:
    among = Cgroups(paths)
    for path in among.paths - {
        p for p in among.paths if "/." in p
    }:  # `.` and `..` are not names in a hierarchy
        assert resolve(path, among) == path
    with contextlib.suppress(UsageError):  # and no other error
        assert resolve(wanted, among) in among.paths


def test_ancestors_are_known() -> None:
    assert Cgroups(["/a/b/c", "other"]).paths == {"/", "/a", "/a/b", "/a/b/c"}


@pytest.mark.parametrize(
    "wanted",
    [
        "registry:5000/shop/api:1.2@sha256:ab",
        "registry:5000/shop/api:1.2",
        "api:1.2",
        "api",
        "web/svc",
        "svc",
    ],
)
def test_an_image_or_a_service_of_compose_means_its_container(wanted: str) -> None:
    path = f"/docker/{WEB}"
    made = replace(
        identify(path), image="registry:5000/shop/api:1.2@sha256:ab", project="web", service="svc", name="one"
    )
    assert resolve(wanted, Cgroups([path], lambda _: {path: made})) == path


def test_what_made_a_pod_means_the_pod_and_several_are_refused() -> None:
    def pod(path: str, name: str) -> Workload:
        return replace(identify(path), name=f"prod/{name}", namespace="prod", pod_name=name)

    one, other = pod(POD, "api-7d9f8c6b5d-x2x4z"), pod(OTHER_POD, "api-7d9f8c6b5d-zzzzz")
    assert resolve("api", Cgroups([POD], lambda _: {POD: one})) == POD
    assert resolve("prod/api", Cgroups([POD], lambda _: {POD: one})) == POD
    with pytest.raises(UsageError, match=f"2 cgroups are called api.*{POD}.*{OTHER_POD}"):
        resolve("api", Cgroups([POD, OTHER_POD], lambda _: {POD: one, OTHER_POD: other}))


def test_a_name_of_its_own_comes_before_what_it_is_made_from() -> None:
    service, path = "/system.slice/nginx.service", f"/docker/{WEB}"
    made = replace(identify(path), image="nginx", name="web")
    assert resolve("nginx", Cgroups([service, path], lambda _: {path: made})) == service
