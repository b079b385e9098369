"""The registry of figures: every figure in it is followed from its kernel file to each place where people read it.

A figure that is added to the registry is followed as well; nothing here names one but to say what it is not.
"""

import json
import re
from collections import defaultdict
from dataclasses import replace
from html import unescape
from math import inf
from pathlib import Path

from agent.analysis.summarise import summarise
from agent.daemon.config import MetricsConfig
from agent.daemon.metrics.collector import Gathered
from agent.documents.summary import RunSummary
from agent.store.run_file import RunWriter, pack, read_run
from collectors.host.hierarchy import CgroupLayout
from collectors.sources.signal_reader import SignalReader, SignalReading, signals_within
from collectors.windows.figures import (
    CGROUP_FIGURES,
    SCHED_FIGURES,
    CacheSignals,
    CgroupFigures,
    CgroupSignals,
    CounterFigures,
    CpuSignals,
    FigureSpec,
    Growth,
    Unit,
    specs,
)
from collectors.windows.signals import HostSignals, SignalWindow
from reports import html, json_document, markdown, text
from reports.sections.run import full_run_report, run_report
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import VICTIM, cgroup, window
from tests.agent.daemon.observations import observation

ALL = (*SCHED_FIGURES, *CGROUP_FIGURES, *specs(CpuSignals), *specs(CacheSignals), *specs(CounterFigures))
TOLD = [spec for spec in CGROUP_FIGURES if spec.v2]
SHOWN = [spec for spec in CGROUP_FIGURES if spec.column]


def number(spec: FigureSpec) -> int:
    """Another for each figure, of as many digits, and whole microseconds where it is a time."""
    return 1_000_000 * (CGROUP_FIGURES.index(spec) + 11)


def shown(spec: FigureSpec) -> tuple[str, str]:
    """As a report has it: what follows the heading of its column, and what stands in it."""
    return {
        Unit.NS: (" (ms)", f"{number(spec) / 1e6:g}"),
        Unit.BYTES: (" (MiB)", f"{number(spec) / 2**20:.3g}"),
        Unit.COUNT: ("", f"{number(spec):,}"),
        Unit.CPUS: ("", f"{number(spec):,} CPUs"),
    }[spec.unit]


def row() -> CgroupSignals:
    return CgroupFigures(**{spec.name: number(spec) for spec in CGROUP_FIGURES})


def content(file: str, figures: dict[str, int]) -> str:
    """A file as the kernel prints it, by key."""
    if file.endswith(".pressure"):
        averages = "avg10=0.00 avg60=0.00 avg300=0.00"
        return "".join(f"{key} {averages} total={figure // 1000}\n" for key, figure in figures.items())
    if file == "io.stat":
        return f"8:0 {' '.join(f'{key}={figure}' for key, figure in figures.items())}\n"
    in_us = 1000 if file.startswith("cpu.stat") else 1
    return "".join(f"{key} {figure // in_us}\n" for key, figure in figures.items())


def reading(root: Path, times: int) -> SignalReading:
    """A cgroup of v2 whose files say so many times `number` of each figure."""
    files: dict[str, dict[str, int]] = defaultdict(dict)
    for spec in TOLD:
        assert spec.v2 is not None
        files[spec.v2.file][spec.v2.key.rpartition("|")[2]] = times * number(spec)
    (root / "a").mkdir(parents=True, exist_ok=True)
    for file, figures in files.items():
        (root / "a" / file).write_text(content(file, figures))
    (root / "a/cpu.max").write_text("50000 100000\n")
    with SignalReader(CgroupLayout("v2", root, {}, "v2", None), root) as reader:
        return reader.read(["/a"])


def recorded(path: Path) -> RunSummary:
    """A run file of one window, read again and summed up."""
    signals = SignalWindow({VICTIM: row()}, HostSignals({}, {}))
    with RunWriter(path / "a.run", {"host": pack(HOST)}) as writer:
        writer.append(replace(window(cgroup(1.0)), signals=signals))
        writer.finish()
    return summarise(read_run(path / "a.run"))


def test_each_figure_grows_by_what_its_file_says(tmp_path: Path) -> None:
    found = signals_within(reading(tmp_path, 1), reading(tmp_path, 3)).cgroups["/a"]
    expected = {spec.name: number(spec) * (2 if spec.growth is Growth.COUNTER else 3) for spec in TOLD}
    assert {name: figure for name, figure in found._asdict().items() if name in expected} == expected


def test_what_is_recorded_is_in_the_summary_and_its_json_form(tmp_path: Path) -> None:
    summary = recorded(tmp_path)
    (found,) = summary.cgroups
    expected = {spec.name: number(spec) for spec in CGROUP_FIGURES if spec.growth is not Growth.SETTING}
    assert found.signals is not None
    assert {name: found.signals[name] for name in expected} == expected
    document = json.loads(json_document.render_run(summary))["cgroups"][0]
    assert {name: document["signals"][name] for name in expected} == expected
    assert document["limit_cpus"] == found.limit_cpus == number(CGROUP_FIGURES[0])


def test_each_column_is_in_every_form_of_the_report(tmp_path: Path) -> None:
    summary = recorded(tmp_path)
    for rendered in (
        text.render(run_report(summary), width=200),
        markdown.render(full_run_report(summary)),
        html.render_run(summary),
    ):
        for spec in SHOWN:
            assert spec.column is not None
            unit, figure = shown(spec)
            assert f"{spec.column.heading}{unit}" in unescape(rendered)
            assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d.,])", rendered)


def test_each_figure_is_in_the_metrics() -> None:
    gathered = Gathered(MetricsConfig(detail="all"), str)
    seen = observation(1, cgroup(1.0))
    signals = SignalWindow({VICTIM: row()}, HostSignals({}, {}))
    gathered.add(replace(seen, sched=replace(seen.sched, signals=signals)))
    values = {
        sample.value
        for family in gathered.collect()
        for sample in family.samples
        if sample.labels.get("cgroup") == VICTIM
    }
    assert values >= {number(spec) / (1e9 if spec.unit is Unit.NS else 1) for spec in CGROUP_FIGURES}


def test_what_has_no_limit_has_no_metric_of_it() -> None:
    gathered = Gathered(MetricsConfig(detail="all"), str)
    seen = observation(1, cgroup(1.0))
    signals = SignalWindow({VICTIM: row()._replace(limit_cpus=inf)}, HostSignals({}, {}))
    gathered.add(replace(seen, sched=replace(seen.sched, signals=signals)))
    (limits,) = (family for family in gathered.collect() if family.name == "jostle_cgroup_limit_cpus")
    assert limits.samples == []


def test_names_say_the_unit_and_stand_once() -> None:
    names = [spec.name for spec in (*SCHED_FIGURES, *CGROUP_FIGURES)]
    assert len(set(names)) == len(names)
    for spec in ALL:
        assert spec.label, spec.name
        for unit in (Unit.NS, Unit.BYTES, Unit.KHZ, Unit.CPUS):
            assert spec.name.endswith(f"_{unit.value}") == (spec.unit is unit)
