"""The architecture's one rule: data flows probes -> collectors -> agent -> reports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["probes", "collectors", "agent", "reports"]
COMPOSITION_ROOT = "agent/cli"


def imported_packages(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.split(".")[0]


def may_import(importer: Path, package: str) -> bool:
    layer = importer.relative_to(ROOT).parts[0]
    if package == "reports" and str(importer.relative_to(ROOT)).startswith(COMPOSITION_ROOT):
        return True
    return LAYERS.index(package) <= LAYERS.index(layer)


def all_imports() -> list[tuple[Path, str]]:
    return [
        (path, package)
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
        for package in imported_packages(path.read_text())
        if package in LAYERS
    ]


def test_every_package_imports_only_from_its_left() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {package}"
        for path, package in all_imports()
        if not may_import(path, package)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("importer", "package", "allowed"),
    [
        ("probes/btf.py", "collectors", False),
        ("agent/verdict.py", "reports", False),
        ("agent/cli/record.py", "reports", True),
        ("reports/text.py", "agent", True),
    ],
)
def test_the_rule_itself(importer: str, package: str, allowed: bool) -> None:  # noqa: FBT001  a parametrised fact
    assert may_import(ROOT / importer, package) is allowed
