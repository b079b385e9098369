"""The table of docs/metrics.md is of the families that a scraper is given: `JOSTLE_UPDATE_GOLDEN=1` writes it again."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace

from agent.daemon.config import MetricsConfig
from agent.daemon.metrics.collector import Gathered
from agent.documents.verdict import SelfCost
from tests.agent.daemon.observations import HEALTH, observation
from tests.cli.running import ROOT

PAGE = ROOT / "docs/metrics.md"
UPDATE = os.environ.get("JOSTLE_UPDATE_GOLDEN") == "1"
TABLE = re.compile(r"^\| metric \|.*?\n(?=[^|])", re.MULTILINE | re.DOTALL)


def rows() -> Iterator[str]:
    gathered = Gathered(MetricsConfig(detail="all"), str)
    known = SelfCost(ns_per_switch=250.0, switches_per_s=1000.0, cpu_pct=0.5, kernel_memory_bytes=1 << 20)
    gathered.add(observation(1, health=replace(HEALTH, probe=known)))
    yield "| metric | labels | kind | |\n|---|---|---|---|\n"
    for family in gathered.collect():
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{each}`" for each in getattr(family, "_labelnames", ()))
        yield f"| `{family.name}{suffix}` | {labels} | {family.type} | {family.documentation} |\n"


def test_the_page_has_every_family_and_none_else() -> None:
    wanted = "".join(rows())
    text = PAGE.read_text()
    if UPDATE:
        PAGE.write_text(TABLE.sub(lambda _: wanted, text, count=1))
    found = TABLE.search(PAGE.read_text())
    assert found is not None
    assert found[0] == wanted


def test_every_metric_that_the_page_names_elsewhere_is_in_its_table() -> None:
    named = set(re.findall(r"`(jostle_\w+)`", PAGE.read_text()))
    assert named <= {found for row in rows() for found in re.findall(r"`(jostle_\w+)`", row)}
