"""The summary of a recording as a document."""

import json

import pytest
from msgspec.structs import replace

from agent.documents.summary import RunSummary
from probes.errors import UsageError
from tests.agent.analysis.summaries import SUMMARY


def test_a_summary_survives_json() -> None:
    assert RunSummary.from_document(json.loads(json.dumps(SUMMARY.to_document()))) == SUMMARY


def test_the_document_says_what_it_is() -> None:
    document = SUMMARY.to_document()
    assert document["schema"] == "jostle.summary/1"
    assert document["cgroups"][0]["wait_by"][0] == {"name": "batch.service", "wait_ns": 1_900_000_000}


def test_another_document_is_refused() -> None:
    with pytest.raises(UsageError, match=r"its schema is 'jostle.verdict/1'"):
        RunSummary.from_document({"schema": "jostle.verdict/1"})


def without(name: str) -> dict[str, str]:
    return {key: reason for key, reason in SUMMARY.unavailable.items() if key != name}


def test_a_null_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="throttled_ns is null"):
        replace(SUMMARY, unavailable=without("throttled_ns"))
    with pytest.raises(ValueError, match=r"signals\.dtlb_misses is null"):
        replace(SUMMARY, unavailable=without("signals.dtlb_misses"))
    with pytest.raises(ValueError, match=r"cpu\.frequency_mhz is null"):
        replace(SUMMARY, unavailable=without("cpu.frequency_mhz"))
    with pytest.raises(ValueError, match=r"self_cost\.cpu_pct is null"):
        replace(SUMMARY, self_cost=replace(SUMMARY.self_cost, cpu_pct=None))
