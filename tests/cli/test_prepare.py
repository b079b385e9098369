"""`jostle prepare`: a file that makes the compiler needless, and what does not describe a host."""

import json
from pathlib import Path
from typing import NoReturn

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from collectors.windows.counters import WANTED
from probes import loader
from tests.cli.running import run


@pytest.mark.kernel
def test_a_prepared_file_is_taken_under_any_name_and_doctor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(_: object) -> NoReturn:
        raise AssertionError("it was compiled again")

    prepared = tmp_path / "this-host.probes"
    done = run("prepare", "-o", str(prepared))
    assert done.code == 0, done.err
    monkeypatch.setenv("JOSTLE_CACHE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(loader, "compile_probes", no_compiler)
    with ebpf.open_probe(detect_layout(), WANTED) as probe:
        assert probe.origin == f"kept in {prepared}"
    found = json.loads(run("doctor", "--json").out)["capabilities"]
    (row,) = (each for each in found if each["name"] == "compiled probes")
    assert row["state"] == "available"
    assert str(prepared) in row["reason"]


@pytest.mark.parametrize("content", [None, b"", b"no type information"])
def test_what_describes_no_kernel_is_refused(tmp_path: Path, content: bytes | None) -> None:
    btf = tmp_path / "vmlinux"
    if content is not None:
        btf.write_bytes(content)
    done = run("prepare", "--btf", str(btf), "-o", str(tmp_path / "out"))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert str(btf) in done.err
    assert not (tmp_path / "out").exists()
