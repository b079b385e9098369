"""What comes from elsewhere: locked by version and hash, and nothing is installed that is not in a lock."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = {
    "": "runtime",
    "dev": "test",
    "fleet": "fleet",
    "clickhouse": "fleet",
    "charts": "charts",
    "supply": "supply",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[NormalizedName, tuple[Requirement, list[str]]]:
    """The requirement of each package in a lock, and its hashes."""
    lines = (ROOT / f"packaging/requirements-{name}.txt").read_text().replace("\\\n", "").splitlines()
    found = {}
    for line in lines:
        if line.startswith("#"):
            continue
        words = line.split(" --hash=")
        requirement = Requirement(words[0].strip())
        found[canonicalize_name(requirement.name)] = requirement, [word.strip() for word in words[1:]]
    return found


@pytest.mark.parametrize("name", dict.fromkeys(LOCKS.values()))
def test_every_package_of_a_lock_has_one_version_and_hashes(name: str) -> None:
    for requirement, hashes in locked(name).values():
        assert [each.operator for each in requirement.specifier] == ["=="], requirement
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("extra", LOCKS)
def test_what_is_asked_for_is_locked_as_it_is_asked_for(extra: str) -> None:
    project = PROJECT["project"]
    asked = (
        project["optional-dependencies"][extra]
        if extra
        else [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    )
    known = locked("runtime") | locked(LOCKS[extra])
    for each in map(Requirement, asked):
        ((_, version),) = [(s.operator, s.version) for s in known[canonicalize_name(each.name)][0].specifier]
        assert version in each.specifier, f"{each}, but {version} is locked: make lock"


def test_the_build_tool_is_pinned() -> None:
    (requires,) = map(Requirement, PROJECT["build-system"]["requires"])
    assert [each.operator for each in requires.specifier] == ["=="]


def test_every_installation_takes_hashes_or_this_checkout_alone() -> None:
    installing = [
        line
        for path in (*ROOT.glob("packaging/*.sh"), ROOT / "Makefile")
        for line in path.read_text().replace("\\\n", "").replace("\t", " ").splitlines()
        if re.search(r'^\S*pip install |^"\$\{pip\[@\]\}"', line.strip(" \t@"))
    ]
    assert len(installing) >= 5
    for line in installing:
        from_lock = "--require-hashes --only-binary :all:" in line
        own = re.search(r"--no-deps --no-build-isolation (-e )?\.$", line)
        assert from_lock or own, line


def test_every_exception_to_a_security_rule_has_its_reason() -> None:
    paths = [
        path
        for room in ("agent", "benchmarks", "collectors", "probes", "reports", "tests")
        for path in (ROOT / room).rglob("*.py")
    ]
    bare = [
        f"{path}: {line}"
        for path in paths
        for line in path.read_text().splitlines()
        if re.search(r"#\s*noqa(: S\d+\s*$|\s*$)", line)
    ]
    assert bare == []
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    text = (ROOT / "pyproject.toml").read_text()
    ignored = re.findall(r'^    "(S\d+)",(.*)$', text, re.MULTILINE)
    assert ignored
    assert all(reason.strip().startswith("# ") for _, reason in ignored), ignored
