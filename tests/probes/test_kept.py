"""Compiled probes as text and in files: what is damaged, foreign or somebody else's is never taken."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probes import kept
from probes.bpf_syscall import MapShape
from probes.compiled import CompiledProbes, CompileRequest, DamagedError

PROBES = CompiledProbes(
    key="d" * 64,
    maps={"stats": MapShape(2, 4, 576, 4096, 0x400)},
    code={"on_switch": bytes(range(64)), "on_task": bytes(8)},
    maps_at={"on_switch": {1: "stats"}, "on_task": {}},
)
TEXT = PROBES.to_text()


def test_text_and_back() -> None:
    assert CompiledProbes.from_text(TEXT) == PROBES


@given(st.integers(0, len(TEXT) - 2), st.sampled_from("0aZ{\n"))
def test_no_changed_character_goes_unseen(at: int, character: str) -> None:
    changed = TEXT[:at] + character + TEXT[at + 1 :]
    assume(changed != TEXT)
    with pytest.raises(DamagedError):
        CompiledProbes.from_text(changed)


@given(st.text(st.characters(codec="ascii"), max_size=300))
def test_what_is_something_else_is_damaged(text: str) -> None:
    with pytest.raises(DamagedError):
        CompiledProbes.from_text(text)


def test_the_key_tells_definitions_and_sources_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    one = CompileRequest({"A": 1}, {"on_task": 7}, typed=True)
    assert one.key() == replace(one, attach_ids={}).key()  # these are not in the code
    keys = {one.key(), replace(one, defines={"A": 2}).key()}
    monkeypatch.setattr("probes.compiled.joined_source", lambda: "int other;")
    assert len({*keys, one.key()}) == 3


def test_what_is_kept_is_found_under_any_name(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert kept.find(PROBES.key, cache).probes is None
    assert kept.keep(PROBES, cache) is None
    found = kept.find(PROBES.key, cache)
    assert (found.probes, found.why_not) == (PROBES, None)
    found.path.rename(cache / "this-host.probes")
    assert kept.find(PROBES.key, cache).probes == PROBES
    assert kept.find("e" * 64, cache).probes is None
    assert [path.name for path in cache.iterdir()] == ["this-host.probes"]


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", TEXT[:-40].encode(), TEXT.replace("AAEC", "AAED").encode()]
)
def test_a_damaged_file_is_said_and_written_over(tmp_path: Path, damage: bytes) -> None:
    kept.keep(PROBES, tmp_path)
    path = kept.find(PROBES.key, tmp_path).path
    path.write_bytes(damage)
    found = kept.find(PROBES.key, tmp_path)
    assert (found.probes, found.why_not) == (None, "it is damaged")
    assert kept.keep(PROBES, tmp_path) is None
    assert kept.find(PROBES.key, tmp_path).probes == PROBES


def test_a_file_of_another_key_under_this_name_is_refused(tmp_path: Path) -> None:
    kept.keep(PROBES, tmp_path)
    kept.find(PROBES.key, tmp_path).path.rename(tmp_path / f"{'e' * 64}.probes")
    assert kept.find("e" * 64, tmp_path).why_not == "it is of other probes"


@pytest.mark.parametrize("of", ["directory", "file"])
@pytest.mark.parametrize("what", ["others may write", "a stranger's", "a link", "a pipe"])
def test_what_somebody_else_could_write_is_refused(tmp_path: Path, of: str, what: str) -> None:
    cache = tmp_path / "cache"
    kept.keep(PROBES, cache)
    path = cache if of == "directory" else kept.find(PROBES.key, cache).path
    match what:
        case "others may write":
            path.chmod(0o777)
        case "a stranger's":
            if os.geteuid() != 0:
                pytest.skip("only root can give files away")
            os.chown(path, 65534, -1)
        case _ if of == "directory":
            pytest.skip("a link to a directory of one's own is one's own; a pipe is none")
        case "a link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            path.unlink()
            os.mkfifo(path, 0o600)
    found = kept.find(PROBES.key, cache)
    assert found.probes is None
    assert found.why_not
    if of == "directory":
        assert kept.keep(PROBES, cache)


def test_what_is_wrong_with_one_file_hides_no_other(tmp_path: Path) -> None:
    kept.keep(PROBES, tmp_path)
    kept.find(PROBES.key, tmp_path).path.rename(tmp_path / "this-host.probes")
    (tmp_path / "a.probes").symlink_to("nowhere")
    (tmp_path / "b.probes").write_bytes(b"\xff")
    assert kept.find(PROBES.key, tmp_path).probes == PROBES


def test_the_unit_has_a_directory_of_its_own_and_reads_roots() -> None:
    assert kept.directories({}) == (kept.CACHE, kept.PREPARED)
    unit = {"CACHE_DIRECTORY": "/var/cache/jostle-agent"}
    assert kept.directories(unit) == (Path("/var/cache/jostle-agent"), kept.CACHE, kept.PREPARED)
    assert kept.directories(unit | {"JOSTLE_CACHE_DIRECTORY": "/c"}) == (Path("/c"),)


def test_the_oldest_of_many_go(tmp_path: Path) -> None:
    others = {"somebody.probes", "passwd"}
    for name in others:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    for number in range(20):
        assert kept.keep(replace(PROBES, key=f"{number:064}"), tmp_path) is None
        os.utime(tmp_path / f"{number:064}.probes", (number, number))
    left = {path.name for path in tmp_path.iterdir()}
    assert others < left
    assert left - others == {f"{number:064}.probes" for number in range(8, 20)}
    assert kept.find(f"{19:064}", tmp_path).probes is not None


def test_a_directory_that_cannot_be_made_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert kept.keep(PROBES, tmp_path / "file" / "cache")
