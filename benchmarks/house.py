"""The house in figures: size, rooms, names with several homes, functions that nothing but tests calls.

    python -m benchmarks.house [REVISION]…     the working tree, and beside it these revisions, as git has them

Source is every Python and BPF file of the four packages; tests and benchmarks are none. A room is a folder of
`agent` or `collectors`, a module that lies loose in one of these, or one of the other packages.
"""

import ast
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from vulture.core import Vulture

PACKAGES = ("probes", "collectors", "agent", "reports")
WITH_ROOMS = ("collectors", "agent")
_TYPE_NAME = re.compile(r"_?[A-Z][a-z]\w*")
SUFFIXES = (".py", ".c", ".h")
# What a protocol or a library calls by its name, and our own code therefore does not.
CALLED_FROM_OUTSIDE = Path(__file__).with_name("called_from_outside.txt")


@dataclass(frozen=True, slots=True)
class House:
    """One revision in figures: counts of things, lengths in lines."""

    files: int
    lines: int
    code_lines: int
    median_file_lines: float
    rooms: int
    arrows: int
    names_with_several_homes: int
    called_by_tests_only: int


def measure(root: Path) -> House:
    """The figures of a checkout."""
    sources = [
        path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in SUFFIXES and path.stat().st_size
    ]
    lengths = [path.read_text().count("\n") for path in sources]
    modules = [path for path in sources if path.suffix == ".py"]
    arrows = {(room(root, path), target) for path in modules for target in _targets(root, path)}
    return House(
        files=len(sources),
        lines=sum(lengths),
        code_lines=sum(_code_lines(path) for path in sources),
        median_file_lines=median(lengths),
        rooms=len({room(root, path) for path in modules if path.name != "__init__.py"}),
        arrows=len({(a, b) for a, b in arrows if a != b}),
        names_with_several_homes=len(several_homes(modules)),
        called_by_tests_only=len(list(called_by_tests_only(root))),
    )


def room(root: Path, path: Path) -> str:
    """The room that a module lies in."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] in WITH_ROOMS and parts[1] != "__init__" else parts[0]


def several_homes(modules: Sequence[Path]) -> dict[str, list[Path]]:
    """Types whose name is that of another one elsewhere, with the modules that define them."""
    homes: dict[str, list[Path]] = defaultdict(list)
    for path in modules:
        for name in _types(ast.parse(path.read_text())):
            homes[name].append(path)
    return {name: paths for name, paths in homes.items() if len(paths) > 1}


def _types(tree: ast.Module) -> Iterator[str]:
    """Classes, and the aliases of types: assigned names in CamelCase."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if _TYPE_NAME.fullmatch(name) and not isinstance(node.value, ast.Call):
                yield name


def called_by_tests_only(root: Path) -> Iterator[str]:
    """Functions and classes that no source file names, as vulture finds them, but for those called from outside."""
    allowed = set(CALLED_FROM_OUTSIDE.read_text().split())
    finder = Vulture()
    finder.scavenge([str(root / package) for package in (*PACKAGES, "benchmarks")])
    for item in finder.get_unused_code():
        if item.typ in {"function", "method", "class", "property"} and item.name not in allowed:
            yield f"{Path(item.filename).relative_to(root)}:{item.first_lineno} {item.name}"


def _targets(root: Path, path: Path) -> Iterator[str]:
    """The rooms that a module imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            for name in node.names:
                found = root / (node.module.replace(".", "/") + f"/{name.name}.py")
                module = found if found.exists() else root / (node.module.replace(".", "/") + ".py")
                yield room(root, module if module.exists() else root / node.module.replace(".", "/") / "x.py")


def _code_lines(path: Path) -> int:
    """Lines that are neither blank nor a comment alone."""
    marks = ("#",) if path.suffix == ".py" else ("//", "/*", " *")
    return sum(1 for line in path.read_text().splitlines() if line.strip() and not line.startswith(marks))


def _checked_out(revision: str, into: Path) -> Path:
    archive = subprocess.run(["git", "archive", revision], capture_output=True, check=True).stdout
    into.mkdir()
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)
    return into


def main(revisions: Sequence[str]) -> None:
    """Print a column for each revision, the working tree last."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: measure(_checked_out(name, Path(scratch) / name)) for name in revisions}
    found["working tree"] = measure(Path(__file__).resolve().parents[1])
    print(f"{'':28}" + "".join(f"{name:>16}" for name in found))
    for field in House.__dataclass_fields__:
        print(f"{field:28}" + "".join(f"{getattr(house, field):>16g}" for house in found.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
