"""What the chart takes over from elsewhere in the checkout is what stands there."""

import pytest

from tests.cli.running import ROOT


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_the_chart_has_the_checkouts_own(name: str) -> None:
    chart = ROOT / "packaging/helm/jostle/files" / name
    assert chart.read_text() == (ROOT / "systemd" / name).read_text()
