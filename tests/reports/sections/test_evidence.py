"""What lies behind a verdict, as tables: nothing is shown that was not measured."""

from msgspec.structs import replace

from agent.documents.verdict_parts import WaitHistograms
from reports.sections.evidence import blame_table, bucket, histogram_table, pair_table, trial_table
from tests.reports.samples import INTERFERENCE


def test_every_pair_and_every_trial_has_a_row() -> None:
    assert len(pair_table(INTERFERENCE).rows) == len(INTERFERENCE.pairs or ())
    trials = INTERFERENCE.trials or ()
    assert len(trial_table(trials).rows) == len(trials) > 0


def test_those_that_were_waited_for_keep_their_order() -> None:
    assert [row[-1] for row in blame_table(INTERFERENCE).rows] == [b.cgroup for b in INTERFERENCE.blame or ()]


def test_lengths_that_no_wait_had_are_left_out_and_the_last_is_open() -> None:
    table = histogram_table(
        WaitHistograms(edges_ns=(1000.0, 2000.0, 4000.0), without=(1, 0, 2), with_=(3, 0, 4))
    )
    assert [row[1:] for row in table.rows] == [("1", "3"), ("2", "4")]
    assert bucket(1000.0, None).startswith("over ")


def test_trials_that_do_not_count_are_named_with_their_reasons_below() -> None:
    trials = tuple(
        replace(each, void=void)
        for each, void in zip(
            INTERFERENCE.trials or (), ("late", None, "moved", "late", *[None] * 12), strict=True
        )
    )
    table = trial_table(trials)
    assert table.note == "Void, and not counted: 0, 3 (late); 2 (moved)."
    assert [row[2].endswith(", void") for row in table.rows[:5]] == [True, False, True, True, False]
    assert trial_table(INTERFERENCE.trials or ()).note == ""
