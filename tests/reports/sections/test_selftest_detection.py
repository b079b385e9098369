"""The report of a self-test of detection: both settings, every kind, and each episode that was not right."""

from msgspec.structs import replace

from agent.documents.event import EventCause
from agent.documents.selftest_detection import DetectionSetting
from agent.selftest.episode_score import score
from agent.selftest.episodes import episodes
from reports import html, markdown, text
from reports.sections.selftest_detection import detection_report, episode_list
from tests.agent.selftest.told import ARRIVES, LABELS, OWN, QUIET, blames, finding, selftest, tells


def test_all_is_well() -> None:
    shown = text.render(detection_report(selftest()), width=100)
    assert "SELF-TEST OF DETECTION: 4 episodes of 4 labelled kinds in 500 s." in shown
    assert "Not as labelled" not in shown
    assert "told within 180 s" in shown
    assert "told within 20 s" in shown
    assert "| recall |" in markdown.render(detection_report(selftest()))
    assert (
        "9.50 s" in shown or "9.5 s" in shown
    )  # 21.5 s after the change, 12 s of which nothing was to be told


def test_what_was_wrong_is_listed_with_its_seed() -> None:
    wrong = (
        finding(ARRIVES, (), (blames("light", 14.0),)),
        finding(QUIET, (), (tells(EventCause.UNKNOWN, -3.0),)),
        finding(OWN, error="victim exited with code 1"),
    )
    shown = " ".join(text.render(detection_report(selftest(*wrong)), width=100).split())
    assert "two (seed 7), default: nothing, labelled neighbours" in shown
    assert "two (seed 7), fast: neighbours (light) after 14 s, labelled neighbours" in shown
    assert "nothing (seed 7), fast: unknown before the change, labelled nothing" in shown
    assert "own-load (seed 7) failed and does not count: victim exited with code 1" in shown


def test_a_partial_one_says_so_and_one_without_episodes_can_be_shown() -> None:
    shown = text.render(detection_report(selftest(partial=True)))
    assert "SELF-TEST OF DETECTION (PARTIAL): 4 of 5 episodes" in shown
    none = replace(
        selftest(), findings=(), scores=tuple(score(LABELS, (), setting) for setting in DetectionSetting)
    )
    assert "n/a" in text.render(detection_report(none))
    assert "Self-test of detection" in html.render(detection_report(none))


def test_the_list_shows_every_label_and_folds_no_name() -> None:
    labels = [episode.label for episode in episodes()]
    shown = text.render(episode_list(labels), width=80)
    assert [label.episode for label in labels if f"  {label.episode} " not in shown] == []
