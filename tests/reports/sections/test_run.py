"""A recording of a crowded host: its report stays one that a person can read."""

import json

from msgspec.structs import replace

from agent.documents.summary import MOST_CGROUPS, MOST_WAITED_FOR, WaitBy
from reports import json_document, text
from reports.sections.run import run_report
from tests.agent.analysis.summaries import SUMMARY

MANY = tuple(
    replace(
        SUMMARY.cgroups[0],
        name=f"pod-{number}",
        wait_by=tuple(WaitBy(f"/to-{number}-{other}", 9 - other) for other in range(9)),
    )
    for number in range(300)
)


def test_of_many_cgroups_the_first_are_shown_and_the_others_counted() -> None:
    rendered = text.render(run_report(replace(SUMMARY, cgroups=MANY)), width=200)
    assert "10 s of 300 cgroups" in rendered
    assert "has the other 280 as well" in rendered
    assert f"pod-{MOST_CGROUPS - 1} " in rendered
    assert f"pod-{MOST_CGROUPS} " not in rendered
    assert rendered.count("/to-0-") == MOST_WAITED_FOR
    assert f"Of each, the {MOST_WAITED_FOR} that it waited for longest." in rendered


def test_the_json_form_has_them_all() -> None:
    document = json.loads(json_document.render_run(replace(SUMMARY, cgroups=MANY)))
    assert [each["name"] for each in document["cgroups"]] == [each.name for each in MANY]


def test_of_few_nothing_is_left_out() -> None:
    assert "Which cgroups" not in text.render(run_report(SUMMARY))
