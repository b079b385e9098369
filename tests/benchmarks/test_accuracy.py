"""The rates on the pages are those of two whole runs, one of them beside a bystander."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.accuracy import ROOT, between, load, sentence, tables
from probes.errors import UsageError
from tests.agent.selftest.findings import selftest


def test_both_pages_have_one_place_for_them() -> None:
    for name in ("README.md", "docs/accuracy.md"):
        page = (ROOT / name).read_text()
        assert "new\n<!-- end of rates -->" in between(page, "rates", "new")
    with pytest.raises(UsageError, match="one place"):
        between("", "rates", "new")


def test_the_rates_of_both_hosts() -> None:
    runs = selftest(), replace(selftest(), bystander=True, trial_noise_pct=12.34)
    quiet, busy = sentence(runs).splitlines()
    assert quiet.startswith("* On a quiet host: true positives 100 % (2 of 2), false positives 0 % (0 of 1)")
    assert busy.endswith("cleared 100 % (1 of 1); trials alone differ by 12.3 %.")
    assert tables(runs).count("\n#### ") > 3


def test_what_is_partial_or_the_other_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps(selftest().to_document()))
    assert load(file, bystander=False) == selftest()
    with pytest.raises(UsageError, match="with --bystander"):
        load(file, bystander=True)
    file.write_text(json.dumps(selftest(partial=True).to_document()))
    with pytest.raises(UsageError, match="not a whole run"):
        load(file, bystander=False)
