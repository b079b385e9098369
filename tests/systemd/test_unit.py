"""The unit, by systemd's own tools. `make test-systemd` boots it."""

import re
import subprocess
import sys
from pathlib import Path

from agent.daemon.config import Config
from agent.daemon.settings import read

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/jostle.service"
JOSTLE = "/usr/lib/jostle/bin/jostle"


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8"}
    )


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # It also looks whether what is started is there.
    unit.write_text(UNIT.read_text().replace(JOSTLE, str(Path(sys.executable).with_name("jostle"))))
    found = analyze("verify", "--man=no", str(unit))
    assert (found.returncode, found.stderr) == (0, "")


def test_systemd_finds_a_mistake(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("ProtectSystem=strict", "ProtectSystem=perhaps"))
    assert "protect system value" in analyze("verify", "--man=no", str(unit)).stderr


def test_the_exposure_is_what_the_documents_say() -> None:
    stated = re.search(r"→ (\d\.\d) OK", (ROOT / "docs/hardening.md").read_text())
    assert stated
    most = str(round(10 * float(stated[1])))
    found = analyze("security", "--offline=true", f"--threshold={most}", str(UNIT))
    assert found.returncode == 0, found.stdout
    assert f"exposure level for jostle.service: {stated[1]} " in found.stdout


def test_each_capability_has_its_reason() -> None:
    text = UNIT.read_text()
    bounding = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    assert bounding[0] == ""
    granted = set(bounding[-1].split())
    assert granted == set(re.findall(r"^AmbientCapabilities=(.*)$", text, re.MULTILINE)[-1].split())
    assert granted == set(re.findall(r"^# (CAP_\w+): \w+", text, re.MULTILINE))


def test_the_example_shows_the_defaults() -> None:
    lines = (ROOT / "systemd/jostle.toml").read_text().splitlines()
    shown = "\n".join(re.sub(r"^# (?=[\w.]+ = |\[\[)", "", line) for line in lines)
    assert shown != "\n".join(lines)
    assert read(Config, shown, "jostle.toml") == Config()
