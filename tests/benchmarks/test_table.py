import io
import json

from rich.console import Console

from benchmarks.overhead_table import goal_lines, show
from tests.benchmarks.recorded import recorded


def test_the_table_of_a_recorded_run() -> None:
    out = io.StringIO()
    show(json.loads(recorded("overhead.json")), Console(file=out, width=110))
    printed = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    assert printed == recorded("overhead.txt")


def test_goals_are_met_missed_or_not_measured() -> None:
    document = {
        "ratio_vs_runqlat": 0.25,
        "slowdown_pct": {"jostle": 5.0, "runqlat": -1.0},
        "rss_mb": 41.0,
        "first_sample_s": 1.5,
        "first_sample_kept_s": 0.4,
    }
    words = [line.rpartition(" ")[2] for line in goal_lines(document)]
    assert words == ["met)", "measured", "missed)", "missed)", "met)"]
