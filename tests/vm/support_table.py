"""Prints the tables of docs/kernels.md from the runs that `make test-kernels` and `make test-arm64` left.

What doctor says of each signal, and how each known-answer test went; a kernel without a run is left out.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.vm import cache
from tests.vm.kernels import MACHINES

_NOT_RUN = "not run"


def signals(doctor: Path) -> dict[str, str]:
    """Of a `jostle doctor --json`: each signal's state; none where doctor failed."""
    text = doctor.read_text()
    return {signal["name"]: signal["state"] for signal in json.loads(text)["capabilities"]} if text else {}


def outcomes(results: Path) -> dict[str, str]:
    """Of pytest's report: how each test went, by its name in words."""
    cases = ET.parse(results).getroot().iter("testcase")  # noqa: S314  our own file
    return {_in_words(case.attrib["name"]): _outcome(case) for case in cases}


def table(head: str, columns: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A Markdown table: a row for each key that any column has, in the order in which they come."""
    rows = list(dict.fromkeys(key for column in columns.values() for key in column))
    yield _line([head, *columns])
    yield _line(["---"] * (len(columns) + 1))
    for row in rows:
        yield _line([row, *(column.get(row, _NOT_RUN) for column in columns.values())])


def _in_words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def _outcome(case: ET.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "**failed**"
    return "skipped" if "skipped" in kinds else "passed"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Both tables."""
    runs = {machine.name: cache.CACHE / "runs" / f"kernel-{machine.name}" for machine in MACHINES}
    runs = {name: run for name, run in runs.items() if (run / "doctor.json").is_file()}
    print("\n".join(table("signal", {name: signals(run / "doctor.json") for name, run in runs.items()})))
    print()
    print(
        "\n".join(table("known answer", {name: outcomes(run / "results.xml") for name, run in runs.items()}))
    )


if __name__ == "__main__":
    main()
