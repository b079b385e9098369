"""The architecture's rules: which room may import from which, no circle, and no module outside a room."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("probes", "collectors", "agent", "reports")
WITH_ROOMS = ("collectors", "agent")
"""Packages whose modules all lie in rooms; the others are one room each."""

_COLLECTORS = ("probes", "collectors.host", "collectors.windows", "collectors.sources")
ALLOWED = {
    "probes": (),
    "collectors.host": ("probes",),
    "collectors.windows": ("probes", "collectors.host"),
    "collectors.sources": ("probes", "collectors.host", "collectors.windows"),
    "agent.documents": _COLLECTORS,
    "agent.statistics": ("probes", "agent.documents"),
    "agent.recording": (*_COLLECTORS, "agent.documents"),
    "agent.store": (*_COLLECTORS, "agent.documents"),
    "agent.sandbox": ("probes", "collectors.host", "collectors.windows"),
    "agent.detection": (*_COLLECTORS, "agent.documents", "agent.store"),
    "agent.analysis": (*_COLLECTORS, "agent.documents", "agent.statistics", "agent.store"),
    "agent.experiment": (
        *(*_COLLECTORS, "agent.documents", "agent.statistics", "agent.recording", "agent.store"),
        *("agent.sandbox", "agent.analysis"),
    ),
    "agent.daemon": (*_COLLECTORS, "agent.documents", "agent.recording", "agent.store", "agent.detection"),
    "agent.fleet": (*_COLLECTORS, "agent.documents", "agent.store"),
    "agent.selftest": (
        *(*_COLLECTORS, "agent.documents", "agent.statistics", "agent.recording", "agent.sandbox"),
        *("agent.experiment", "agent.detection"),
    ),
    "reports": ("agent.documents", "agent.analysis", "collectors.windows"),
}
"""Every room, and the rooms it may import from besides itself. The composition root may import from all."""
COMPOSITION_ROOT = "agent.cli"
PYTHON_M = "agent.__main__"
"""Calls the command line for `python -m agent`, which finds it nowhere else."""
ROOMS = (*ALLOWED, COMPOSITION_ROOT)


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def room_of(module: str) -> str | None:
    """The room that a dotted module, or a package, lies in; None: it is not part of this repository."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    if module == PYTHON_M:
        return COMPOSITION_ROOT
    return ".".join(parts[:2]) if parts[0] in WITH_ROOMS else parts[0]


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(source: str) -> Iterator[str]:
    """Every module that a source text imports, and every name it takes from one (it may be a module)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def may_import(importer: str, wanted: str) -> bool:
    return importer in (wanted, COMPOSITION_ROOT) or wanted in ALLOWED[importer]


def test_every_module_lies_in_a_room() -> None:
    loose = [
        str(path)
        for path in modules()
        if room_of(dotted(path)) not in ROOMS and path.parts not in {(p, "__init__.py") for p in WITH_ROOMS}
    ]
    assert loose == []


def test_every_room_imports_only_what_it_may() -> None:
    wrong = [
        f"{path} imports {name}"
        for path in modules()
        for name in imported((ROOT / path).read_text())
        if (wanted := room_of(name)) is not None and not may_import(room_of(dotted(path)) or "", wanted)
    ]
    assert wrong == []


def test_the_rooms_have_an_order() -> None:
    assert next(iter(TopologicalSorter(ALLOWED).static_order())) == "probes"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for_and_what_it_must_not(room: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text())) or ""
    assert "mport" in text
    assert "must not" in text


@pytest.mark.parametrize(
    ("importer", "wanted", "allowed"),
    [
        ("probes", "collectors.host", False),
        ("collectors.windows", "collectors.sources", False),
        ("agent.store", "agent.detection", False),
        ("agent.analysis", "agent.experiment", False),
        ("agent.daemon", "reports", False),
        ("agent.cli", "reports", True),
        ("reports", "agent.documents", True),
    ],
)
def test_the_rule_itself(importer: str, wanted: str, allowed: bool) -> None:  # noqa: FBT001  a parametrised fact
    assert may_import(importer, wanted) is allowed
