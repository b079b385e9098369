"""Each module is named by a test, and tests lie where what they test lies."""

import ast
import importlib
import re

from agent.cli.app import COMMANDS
from agent.experiment.victim_metrics.readers import READERS
from benchmarks.house import called_by_tests_only
from tests.test_layers import PACKAGES, ROOT, dotted, imported, modules

TESTS = ROOT / "tests"


def sources() -> set[str]:
    return {dotted(path) for path in modules() if path.name != "__init__.py"}


def named_by(test: str) -> set[str]:
    """The modules that a test imports, itself or through a package that hands on what is theirs, or names in a text."""
    known, found = sources(), set()
    for name in imported(test):
        package, _, what = name.rpartition(".")
        found |= {name, package}
        if package.split(".")[0] in PACKAGES and package not in known and name not in known:
            found.add(getattr(getattr(importlib.import_module(package), what, None), "__module__", ""))
    texts = [
        n.value for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    return {each for each in known if each in found or any(each in text for text in texts)}


def test_every_module_is_named_by_a_test() -> None:
    named = {module for path in TESTS.rglob("*.py") for module in named_by(path.read_text())}
    # Run as a user does, by tests/cli: see the next test. Found by name in a table: see the one after.
    elsewhere = ("agent.cli.", "agent.experiment.victim_metrics.readers.")
    assert sorted(each for each in sources() - named if not each.startswith(elsewhere)) == []


def test_every_command_is_run_by_a_test() -> None:
    text = "".join(path.read_text() for path in (TESTS / "cli").glob("test_*.py"))
    assert [command for command in COMMANDS if f'"{command}"' not in text] == []


def test_every_reader_is_tested_on_what_its_tool_printed() -> None:
    from tests.agent.experiment.victim_metrics.recorded import recorded_names, tool_of

    recorded = {tool_of(name) for name in recorded_names()}
    own = "jostle-victim"  # its test runs it: tests/agent/selftest/workloads/test_victim.py
    assert set(READERS) - recorded - {own} == set()


def test_tests_lie_where_what_they_test_lies() -> None:
    """`test_<module>.py` in the room of that module; what is across modules, beside modules that it names."""
    wrong = []
    for package in PACKAGES:
        for path in (TESTS / package).rglob("test_*.py"):
            relative = path.relative_to(TESTS)
            name = relative.stem.removeprefix("test_")
            room = ".".join(relative.parent.parts)
            is_ones_own = f"{room}.{name}" in sources() or (ROOT / relative.with_name(name)).is_dir()
            if not is_ones_own and not any(
                each.startswith(f"{room}.") for each in named_by(path.read_text())
            ):
                wrong.append(str(relative))
    assert wrong == []


def test_a_rooms_head_that_lists_files_lists_all_of_them() -> None:
    wrong = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            listed = set(re.findall(r"\b\w+\.py\b", ast.get_docstring(ast.parse(path.read_text())) or ""))
            there = {each.name for each in path.parent.glob("*.py")} - {"__init__.py"}
            if listed and listed != there:
                wrong[str(path.relative_to(ROOT))] = sorted(listed ^ there)
    assert wrong == {}


def test_nothing_is_called_by_tests_only() -> None:
    assert list(called_by_tests_only(ROOT)) == []


def test_what_is_named_is_told_from_what_is_not() -> None:
    assert named_by("from agent.store import opening") == {"agent.store.opening"}
    package = "agent.experiment.victim_metrics"
    assert named_by(f"from {package} import parse_spec") == {f"{package}.spec"}
    assert named_by("word = 'python -m probes.compiler'") == {"probes.compiler"}
    assert named_by("from pathlib import Path") == set()
