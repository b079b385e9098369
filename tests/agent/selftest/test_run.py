"""A self-test that was begun is gone on with, if it is the same one."""

import pytest
from msgspec.structs import replace

from agent.documents.selftest import Selftest
from agent.documents.verdict import Conclusion
from agent.selftest.run import Campaign, label_of, resumed
from agent.selftest.scenarios import TwoCpus, scenarios
from probes.errors import UsageError
from tests.agent.selftest.findings import NOTHING, finding, selftest

KNOWN = scenarios(TwoCpus(0, 1))
CAMPAIGN = Campaign(KNOWN[:3], 2, 7, bystander=True)  # all of them with something to find


def begun(done: int) -> Selftest:
    found = [
        replace(finding(NOTHING), scenario=scenario.name, seed=seed)
        for scenario, seed in CAMPAIGN.order()[:done]
    ]
    whole = replace(selftest(), labels=tuple(map(label_of, CAMPAIGN.scenarios)), findings=tuple(found))
    return replace(
        whole, partial=done < 6, planned=6, seed=7, repeat=2, bystander=True, jostle_version="0.1.0"
    )


@pytest.fixture(autouse=True)
def version_of_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.selftest.run.version", lambda _: "0.1.0")


def test_the_same_experiments_follow() -> None:
    assert resumed(begun(4), KNOWN) == CAMPAIGN


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (begun(6), "nothing to go on with"),
        (replace(begun(4), seed=8), "another jostle"),
        (replace(begun(4), jostle_version="0.0.9"), "another jostle"),
        (replace(begun(4), labels=(NOTHING, *begun(4).labels)), "another jostle"),
    ],
)
def test_another_one_is_not_gone_on_with(of: Selftest, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        resumed(of, KNOWN[1:] if of.labels[0] is NOTHING else KNOWN)


def test_those_with_nothing_to_find_may_be_run_more_often() -> None:
    nothing = [each for each in KNOWN if each.verdict is Conclusion.NO_INTERFERENCE]
    ran = Campaign(KNOWN, 2, 7, repeat_nothing=11).order()
    assert len(ran) == 2 * (len(KNOWN) - len(nothing)) + 11 * len(nothing)
