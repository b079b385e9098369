"""For all attacks: a stranger, which takes root to be."""

from pathlib import Path

import pytest

from tests.attack.stranger import Stranger, made


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return made(tmp_path / "strangers")
