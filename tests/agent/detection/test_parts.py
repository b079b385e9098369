"""What the detector is made of: signals, what is usual, limits, the stored baseline, quotas, the event's document."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.detection.gates import Evidence, own_load
from agent.detection.indicators import INDICATORS, IndicatorSample, value_of
from agent.detection.rules import METHODS, Comparison, Rule, exceeds
from agent.detection.running_baseline import MEMORY_WINDOWS, RunningBaseline
from agent.detection.stored_baseline import learn, read_baseline
from agent.detection.suspects import MOST_SUSPECTS, BaselineWaits, blamed, suspects
from agent.documents.event import Event, GateFinding, Suspect
from agent.store.run_file import RunWriter
from collectors.host.hierarchy import CgroupLayout
from collectors.sources.throttling import binding_quota
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import REST
from probes.errors import UsageError
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.daemon.observations import event
from tests.agent.detection.scenes import WINDOW_S, crowded, usual

VALUES = st.floats(0, 1e6)


class TestSignals:
    def test_each_figure(self) -> None:
        counts = [0] * len(EDGES_NS)
        counts[20] = 1000
        sample = IndicatorSample(
            replace(
                cgroup(2.0, {NEIGHBOUR: 1.0}, throttled_s=3.0),
                preempted_foreign=50,
                histogram=tuple(counts),
            ),
            10 * 10**9,
            ipc=1.2,
        )
        found = {name: value_of(signal, sample) for name, signal in INDICATORS.items()}
        p99_ms = found.pop("wait_p99")
        assert p99_ms is not None
        assert EDGES_NS[20] <= p99_ms * 1e6 <= EDGES_NS[21]
        assert found == {
            "contention": pytest.approx(1 / 3),
            "wait_per_run": 0.5,
            "preempted_per_s": 5.0,
            "throttled_share": 0.5,
            "ipc": 1.2,
        }

    def test_a_starved_cgroup_waits_enormously_and_finitely(self) -> None:
        value = value_of(
            INDICATORS["wait_per_run"], IndicatorSample(cgroup(0.0, {NEIGHBOUR: 10.0}), 10 * 10**9)
        )
        assert value == 1000.0

    def test_an_idle_cgroup_says_nothing(self) -> None:
        sample = IndicatorSample(cgroup(0.02, {NEIGHBOUR: 0.05}), 10 * 10**9, ipc=1.0)
        assert {value_of(signal, sample) for signal in INDICATORS.values()} == {None}

    def test_a_percentile_of_a_few_waits_says_nothing(self) -> None:
        assert value_of(INDICATORS["wait_p99"], IndicatorSample(cgroup(2.0), 10 * 10**9)) is None


class TestUsual:
    @given(st.lists(VALUES, min_size=1, max_size=MEMORY_WINDOWS))
    def test_it_is_the_mean_and_deviation_of_a_few(self, values: list[float]) -> None:
        found = RunningBaseline()
        for value in values:
            found.learn(value)
        assert found.mean == pytest.approx(fmean(values), rel=1e-9, abs=1e-9)
        assert found.variance == pytest.approx(pstdev(values) ** 2, rel=1e-6, abs=1e-3)

    @given(st.lists(VALUES, min_size=1, max_size=300))
    def test_it_stays_between_the_extremes(self, values: list[float]) -> None:
        found = RunningBaseline()
        for value in values:
            found.learn(value)
        assert min(values) * (1 - 1e-9) <= found.mean <= max(values) * (1 + 1e-9)
        assert found.deviation >= 0

    def test_it_forgets_slowly(self) -> None:
        found = RunningBaseline()
        for value in [*[1.0] * 500, *[3.0] * MEMORY_WINDOWS]:
            found.learn(value)
        assert found.mean == pytest.approx(3 - 2 / 2.72, rel=0.02)


class TestLimits:
    @given(VALUES, VALUES)
    def test_worse_is_beyond(self, value: float, limit: float) -> None:
        high, low = Rule("wait_per_run", "threshold", limit), Rule("ipc", "threshold", limit)
        against = Comparison(None, limit)
        assert exceeds(high, value, against) == (
            value > limit and value > INDICATORS["wait_per_run"].harmless
        )
        assert exceeds(low, value, against) == (value < limit)

    def test_every_method_of_a_rule_is_known(self) -> None:
        assert set(METHODS) == {"budget", "baseline", "percent", "sigma", "threshold"}


class TestSuspects:
    def test_the_rest_has_a_share_and_no_name(self) -> None:
        assert suspects({REST: 5.0, "/a": 3.0, "/b": 2.0}) == (Suspect("/a", 30.0), Suspect("/b", 20.0))

    def test_what_nobody_is_known_for_has_a_share(self) -> None:
        assert suspects({"/a": 1.0}, unknown=3.0) == (Suspect("/a", 25.0),)

    @given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**12), max_size=30))
    def test_shares_never_exceed_the_whole(self, amounts: dict[str, int]) -> None:
        found = suspects(amounts)
        assert sum(suspect.share_pct for suspect in found) <= 100 + 0.05 * len(found)
        assert list(found) == sorted(found, key=lambda suspect: -suspect.share_pct)
        assert len(found) <= MOST_SUSPECTS


class TestUsualWaits:
    @given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 100)), min_size=1, max_size=50))
    def test_it_is_the_mean_share_of_the_time(self, waits: list[dict[str, int]]) -> None:
        baseline_waits = BaselineWaits()
        for each in waits:
            baseline_waits.learn(cgroup(1.0, each), 10 * 10**9)
        for name in "abc":
            mean = fmean(each.get(name, 0) for each in waits) / 10
            assert baseline_waits.shares.get(name, 0.0) == pytest.approx(mean)

    def test_only_what_is_more_than_usual_is_blamed(self) -> None:
        baseline_waits = BaselineWaits()
        for _ in range(10):
            baseline_waits.learn(cgroup(1.0, {"/always": 4.0}), 10 * 10**9)
        victim = cgroup(1.0, {"/always": 4.5, NEIGHBOUR: 1.5})
        assert baseline_waits.beyond(victim, 10 * 10**9) == pytest.approx(
            {"/always": 0.5e9, NEIGHBOUR: 1.5e9}
        )
        found = blamed(victim, 10 * 10**9, baseline_waits, {}, "waits")
        assert found == (Suspect(NEIGHBOUR, 75.0), Suspect("/always", 25.0))

    def test_it_remembers_no_more_than_a_few(self) -> None:
        baseline_waits = BaselineWaits()
        for number in range(200):
            baseline_waits.learn(cgroup(1.0, {f"/{number}": 1.0, "/always": 2.0}), 10 * 10**9)
        assert len(baseline_waits.shares) <= 40
        assert baseline_waits.shares["/always"] == pytest.approx(0.2)


class TestBaseline:
    def test_it_is_what_95_of_100_windows_do_not_exceed(self) -> None:
        run = [window(cgroup(1.0, {NEIGHBOUR: n / 100}), duration_s=WINDOW_S) for n in range(1, 101)]
        found = learn(run)
        assert found[VICTIM, "wait_per_run"] == pytest.approx(0.95)
        assert (VICTIM, "ipc") not in found

    def test_a_cgroup_that_was_hardly_there_has_none(self) -> None:
        assert learn([window(usual(), duration_s=WINDOW_S)] * 19) == {}

    def test_it_comes_from_a_run_file(self, tmp_path: Path) -> None:
        path = tmp_path / "good.run"
        with RunWriter(path, {}) as writer:
            for _ in range(30):
                writer.append(window(crowded(), duration_s=WINDOW_S))
            writer.finish()
        assert read_baseline(path)[VICTIM, "wait_per_run"] == pytest.approx(2.25)

    def test_a_file_that_is_none_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.run"
        with pytest.raises(UsageError, match="there is no recording"):
            read_baseline(path)
        path.write_text("nonsense" * 1000)
        with pytest.raises(UsageError, match="not a recording, or damaged"):
            read_baseline(path)


class TestQuota:
    @pytest.mark.parametrize("kind", ["v1", "v2"])
    def test_the_tightest_binds_and_has_a_name(self, tmp_path: Path, kind: str) -> None:
        v1 = kind == "v1"
        layout = CgroupLayout(
            mode="v1" if v1 else "v2",
            v2_mount=None if v1 else tmp_path,
            v1_mounts={"cpu": tmp_path} if v1 else {},
            cpu_on="v1" if v1 else "v2",
            v1_cpu_hierarchy_id=1 if v1 else None,
        )
        for place, quota in (("pods", "50000"), ("pods/one", "100000"), ("free", "-1" if v1 else "max")):
            directory = tmp_path / place
            directory.mkdir()
            (directory / "cpu.stat").write_text("nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
            if v1:
                (directory / "cpu.cfs_quota_us").write_text(quota)
                (directory / "cpu.cfs_period_us").write_text("100000")
            else:
                (directory / "cpu.max").write_text(f"{quota} 100000")
        assert binding_quota(layout, "/pods/one") == ("/pods", 0.5)
        assert binding_quota(layout, "/free") is None
        assert binding_quota(layout, "/gone") is None


@given(st.text(), st.text())
def test_an_event_survives_its_document(victim: str, text: str) -> None:
    found = structs.replace(
        event(victim, suspects=(Suspect(text, 50.0),)), findings=(GateFinding("steal", None, text),)
    )
    assert Event.from_document(json.loads(json.dumps(found.to_document()))) == found


class TestOwnLoad:
    @pytest.mark.parametrize(
        ("run_s", "ipc", "usual_ipc", "explains", "text"),
        [
            (6.0, 1.2, 1.2, True, "at 1.20 instructions per cycle"),  # three times the work
            (6.0, 0.4, 1.2, False, "usually 1.20"),  # the same work in three times the time
            (6.0, None, 1.2, True, "could not be told"),
            (6.0, 0.4, None, True, "could not be told"),
            (2.0, None, None, False, "usually 0.20"),
        ],
    )
    def test_who_runs_longer_for_the_same_work_has_no_load_of_its_own(
        self, run_s: float, *, ipc: float | None, usual_ipc: float | None, explains: bool, text: str
    ) -> None:
        found = own_load(
            Evidence(
                cgroup(run_s),
                seconds=10.0,
                baseline_cpus=0.2,
                stolen_pct=0.0,
                ipc=ipc,
                baseline_ipc=usual_ipc,
            )
        )
        assert (found.explains, text in found.text) == (explains, True)
