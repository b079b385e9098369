"""Each item of tests/STRANGERS.md names tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_row_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+\.\d+) \|.*$", (HERE / "STRANGERS.md").read_text(), re.MULTILINE)
    named = re.findall(r"`([\w/]+/test_\w+\.py)(?:::(\w+))?`", (HERE / "STRANGERS.md").read_text())
    assert len(named) >= len(rows) > 0
    for path, test in named:
        text = (HERE / path).read_text()
        assert not test or f"def {test}(" in text, f"{path}::{test}"
