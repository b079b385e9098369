"""What a soak's samples say: of the settled part, and which goals were missed."""

import pytest

from benchmarks.soak import Figures, Sample, figures


def samples(cpu_pct: float, mb_per_minute: float = 0.0, descriptors: int = 30) -> list[Sample]:
    """Ten minutes: while it starts the agent works hard and grows, then as given."""
    return [
        Sample(
            at_s=at_s,
            cpu_s=5 + at_s * cpu_pct / 100,
            rss_mb=30 + min(at_s, 60) / 6 + mb_per_minute * at_s / 60,
            descriptors=descriptors if at_s > 60 else 20,
        )
        for at_s in range(0, 605, 5)
    ]


def soaked(**changed: object) -> Figures:
    known = {
        "minutes": 10.0,
        "cgroups": 300,
        "flight_recorder_mib": 0,
        "came_and_went": 3000,
        "windows": 60,
        "lost_windows": 0,
        "history_mb_per_hour": 10.0,
    }
    return Figures(**{**known, **figures(samples(0.4)), **changed})  # type: ignore[arg-type]  # by name


def test_the_settled_part_counts() -> None:
    found = figures(samples(0.4, mb_per_minute=1.0))
    assert found["cpu_pct"] == pytest.approx(0.4)
    assert found["growth_mb"] == pytest.approx(6.5 * 3 / 4, abs=0.2)
    assert found["descriptors"] == (30, 30)
    assert found["rss_mb"] == pytest.approx(50, abs=0.2)


def test_a_quiet_agent_misses_nothing() -> None:
    assert soaked().missed() == []
    assert soaked(flight_recorder_mib=8, cpu_pct=0.9, rss_mb=54.0, growth_mb=9.0).missed() == []


@pytest.mark.parametrize(
    ("changed", "goal"),
    [
        ({"cpu_pct": 0.51}, "CPU"),
        ({"rss_mb": 51.0}, "resident memory"),
        ({"growth_mb": 1.1}, "memory flat"),
        ({"descriptors": (30, 31)}, "descriptor"),
        ({"lost_windows": 1}, "window lost"),
        ({"flight_recorder_mib": 8, "cpu_pct": 0.91}, "CPU at most 0.9 %"),
        ({"flight_recorder_mib": 8, "rss_mb": 55.1}, "resident memory at most 55.0 MB"),
        ({"flight_recorder_mib": 8, "growth_mb": 9.5}, "memory flat"),
    ],
)
def test_each_goal_can_be_missed(changed: dict[str, object], goal: str) -> None:
    (missed,) = soaked(**changed).missed()
    assert goal in missed
