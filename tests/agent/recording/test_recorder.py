"""The schedule of a recording on a clock of its own, and which cgroups it keeps."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recording import recorder
from agent.recording.budget import CHECK_EVERY, Governor
from collectors.windows import sched
from collectors.windows.sched import SchedWindow
from probes.snapshot import Snapshot
from tests.agent.analysis.trials import cgroup, window


class FakeProbe:
    """A probe whose reading takes a while on a clock that only it and the waiting move."""

    def __init__(self, reading_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.reading_s = reading_s
        self.begun_after: list[int] = []
        self.waits_s: list[float] = []
        self.reads = 0
        self.asked_after: list[int] = []

    def cost(self) -> None:
        self.asked_after.append(self.reads)

    def read(self) -> Snapshot:
        self.now_s += self.reading_s
        self.reads += 1
        return Snapshot(
            monotonic_ns=round(self.now_s * 1e9), cgroups={}, waits={}, cpus=(), paths={}, untracked=0
        )

    def wait(self, seconds: float) -> bool:
        self.waits_s.append(seconds)
        self.now_s += seconds
        return False

    def begun(self) -> None:
        self.begun_after.append(self.reads)


def record(
    probe: FakeProbe,
    monkeypatch: pytest.MonkeyPatch,
    interval_s: float,
    duration_s: float | None,
    ended: recorder.EndedWithin | None = None,
) -> Iterator[SchedWindow]:
    monkeypatch.setattr("agent.recording.recorder.time.monotonic", lambda: probe.now_s)
    governor = Governor(probe, 1.0)  # type: ignore[arg-type]  # only `read` is called
    return recorder.windows(governor, interval_s, duration_s, ended or probe.wait, probe.begun)


class TestSchedule:
    @pytest.mark.parametrize(
        ("interval_s", "duration_s", "lengths_s"),
        [
            (1.0, 3.0, [1, 1, 1]),
            (1.0, 2.5, [1, 1, 0.5]),
            (5.0, 1.0, [1]),
            (0.1, 0.3, [0.1, 0.1, 0.1]),  # 0.1 + 0.1 + 0.1 is not 0.3, but there is no fourth window
        ],
    )
    def test_windows_fill_the_duration(
        self, monkeypatch: pytest.MonkeyPatch, interval_s: float, duration_s: float, lengths_s: list[float]
    ) -> None:
        found = [w.duration_ns / 1e9 for w in record(FakeProbe(), monkeypatch, interval_s, duration_s)]
        assert found == pytest.approx(lengths_s, abs=1e-6)

    def test_slow_readings_do_not_push_the_later_windows_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = FakeProbe(reading_s=0.3)
        list(record(probe, monkeypatch, 1.0, 5.0))
        assert probe.waits_s == pytest.approx([1.0, 0.7, 0.7, 0.7, 0.7])

    def test_readings_slower_than_a_window_do_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = FakeProbe(reading_s=2.0)
        list(record(probe, monkeypatch, 1.0, 9.0))
        assert min(probe.waits_s) >= 0
        assert probe.now_s <= 1000 + 2 + 9 + 2

    def test_the_end_of_a_command_ends_it_with_a_last_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = FakeProbe()

        def ended(seconds: float) -> bool:
            probe.wait(seconds / 4 if len(probe.waits_s) == 2 else seconds)
            return len(probe.waits_s) == 3

        found = [w.duration_ns / 1e9 for w in record(probe, monkeypatch, 1.0, None, ended)]
        assert found == pytest.approx([1, 1, 0.25])

    def test_what_is_recorded_begins_after_the_first_reading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = FakeProbe()
        list(record(probe, monkeypatch, 1.0, 3.0))
        assert probe.begun_after == [1]


def test_the_cost_is_measured_in_the_first_window_and_one_in_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = FakeProbe()
    list(record(probe, monkeypatch, 1.0, 2.0 * CHECK_EVERY + 1))
    begins = [1, 1 + CHECK_EVERY, 1 + 2 * CHECK_EVERY]
    assert probe.asked_after == [reads + after for reads in begins for after in (0, 1)]


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), unique_by=lambda p: p[0]), max_size=5
    )
)
def test_totals_add_up_over_the_windows(recorded: list[list[tuple[str, int]]]) -> None:
    run = [window(*[cgroup(run_s, path=f"/{name}") for name, run_s in each]) for each in recorded]
    whole = sched.totals(run)
    for name in "abc":
        expected = sum(run_s for each in recorded for path, run_s in each if path == name)
        assert (whole[f"/{name}"].run_ns if f"/{name}" in whole else 0) == expected * 10**9
