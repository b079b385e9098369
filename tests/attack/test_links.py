"""A stranger's directory or link where root is to write: refused with the reason, and nothing is written."""

import os
import stat
from pathlib import Path

import pytest

from agent.fleet.place import Folder
from agent.fleet.ship import ship
from agent.store.files import own_directory, own_place, write_whole
from agent.store.history import locked
from agent.store.run_file import RunWriter
from probes.errors import UsageError
from tests.agent.fleet.histories import BEGIN_NS, HOUR_NS, each_minute, history
from tests.attack.stranger import UID, Stranger
from tests.cli.running import is_one_line, run
from tests.cli.test_report import concluded, recorded

pytestmark = pytest.mark.root

PRECIOUS = "what root would miss\n"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of root's that a link may lead to."""
    path = tmp_path / "precious"
    path.write_text(PRECIOUS)
    return path


def contents(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@pytest.mark.parametrize(
    "words",
    [
        ("experiment", "--victim", "true", "--neighbour", "true", "--tier", "schedstat", "-o", "{there}/out"),
        ("experiment", "--victim", "true", "--neighbour", "true", "--tier", "schedstat", "-o", "{there}"),
        ("record", "-d", "0.1", "--tier", "psi", "-o", "{there}/a.run"),
        ("report", "{mine}", "-f", "md", "-o", "{there}/a.md"),
        ("compare", "{mine}", "{mine}", "--cgroup", "/jostle-1/victim", "-o", "{there}/a.json"),
        ("ship", "--history-file", "{history}", "{there}/dataset"),
        ("ship", "--history-file", "{history}", "{there}"),
        ("ship", "--history-file", "{history}", "{dataset}", "--metrics", "{there}/a.prom"),
    ],
    ids=lambda words: f"{words[0]}-{Path(words[-1]).name}",
)
def test_nothing_is_written_to_a_strangers_directory(
    stranger: Stranger, tmp_path: Path, words: tuple[str, ...]
) -> None:
    mine, past = recorded(tmp_path / "mine.run"), tmp_path / "history.db"
    history(past, each_minute(BEGIN_NS, 2))
    places = {"there": stranger.directory, "mine": mine, "history": past, "dataset": tmp_path / "dataset"}
    ended = run(*(word.format(**places) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert f"{stranger.directory} belongs to user {UID}" in ended.err
    assert contents(stranger.directory) == set()


def test_the_agent_keeps_no_history_and_no_socket_there(stranger: Stranger, tmp_path: Path) -> None:
    config = tmp_path / "jostle.toml"
    tables = {
        "history": f'history.path = "{stranger.directory}/h.db"\nmetrics.enabled = false\n',
        "socket": f'history.enabled = false\nmetrics.listen = "unix:{stranger.directory}/m.sock"\n',
    }
    for text in tables.values():
        config.write_text(f'agent.tier = "psi"\n{text}')
        ended = run("agent", "--config", str(config))
        assert ended.code == 2
        assert is_one_line(ended.err)
        assert f"{stranger.directory} belongs to user {UID}" in ended.err
    assert contents(stranger.directory) == set()


def test_a_dataset_is_written_through_no_strangers_link_and_to_no_other_place(
    tmp_path: Path, precious: Path
) -> None:
    shared = tmp_path / "dataset"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "v1").symlink_to(precious.parent)
    os.lchown(shared / "v1", UID, UID)
    with pytest.raises(UsageError, match=f"v1 belongs to user {UID}"):
        Folder(shared).put("v1/precious", b"text")
    (shared / "v1").unlink()
    past = tmp_path / "history.db"
    history(past, each_minute(BEGIN_NS, 2))
    ship(past, Folder(shared), None, {}, now_ns=BEGIN_NS + 100 * HOUR_NS)
    (cursor,) = shared.glob("v1/cursors/*")
    batch = '{"last": 9, "end_utc_ns": 9, "stem": "../../../../../../precious"}'
    cursor.write_text('{"window": 0, "end_utc_ns": 0, "under_way": ' + batch + "}")
    with pytest.raises(UsageError, match="is no cursor"):
        ship(past, Folder(shared), None, {}, now_ns=BEGIN_NS + 100 * HOUR_NS)
    assert precious.read_text() == PRECIOUS


def test_a_strangers_link_on_the_way_is_refused(tmp_path: Path, precious: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "results").symlink_to(precious.parent)
    os.lchown(shared / "results", UID, UID)
    with pytest.raises(UsageError, match=f"results belongs to user {UID}"):
        write_whole(shared / "results/precious", "text")
    assert precious.read_text() == PRECIOUS


def test_a_strangers_link_for_a_name_is_refused(tmp_path: Path, precious: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for name in ("a.md", "a.run.partial", "h.db"):
        (shared / name).symlink_to(precious)
        os.lchown(shared / name, UID, UID)
    with pytest.raises(UsageError, match=r"a\.md belongs to user"):
        write_whole(shared / "a.md", "text")
    with pytest.raises(UsageError, match="exists"):
        RunWriter(shared / "a.run", {})
    with pytest.raises(UsageError, match=r"h\.db belongs to user"):
        locked(shared / "h.db")
    assert precious.read_text() == PRECIOUS


@pytest.mark.kernel
def test_a_victims_output_goes_to_a_file_that_was_not_there(tmp_path: Path, precious: Path) -> None:
    # As the one who found it did: a link waits where a trial's output is going to be.
    from agent.sandbox.cgroups import Workspace
    from agent.sandbox.commands import start
    from collectors.host.hierarchy import detect_layout

    (tmp_path / "out.stdout").symlink_to(precious)
    with Workspace(detect_layout()) as workspace, pytest.raises(FileExistsError):
        start("echo lost", workspace.make("victim"), None, tmp_path / "out.stdout", None)
    assert precious.read_text() == PRECIOUS


@pytest.mark.parametrize(
    ("mode", "gid", "is_own"),
    [
        (0o755, 0, True),
        (0o775, 0, True),
        (0o775, UID, False),
        (0o777, 0, False),
        (0o1777, 0, True),
        (0o702, 0, False),
    ],
)
def test_who_else_may_write_to_a_directory_decides(tmp_path: Path, mode: int, gid: int, is_own: bool) -> None:  # noqa: FBT001  a parametrised fact
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, 0, gid)
    place.chmod(mode)
    if is_own:
        assert own_directory(place) == place
        assert own_place(place / "below/file") == place / "below/file"
    else:
        with pytest.raises(UsageError, match="a directory that other users may write to"):
            own_directory(place)


def test_whoever_called_by_sudo_may_own_the_place(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(UID))
    assert own_directory(stranger.directory) == stranger.directory


def test_roots_own_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    assert own_place(tmp_path / "link/../link/a") == tmp_path / "real/a"
    assert own_place(Path(f"{tmp_path}/real/../link/a")) == tmp_path / "real/a"
    with pytest.raises(OSError, match="symbolic links"):
        own_place(tmp_path / "loop/a")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_what_is_written_is_private(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new/a.md", "text")
        RunWriter(tmp_path / "a.run", {}).__exit__(None, None, None)
        os.close(locked(tmp_path / "state/h.db"))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {
        "new": 0o700 & ~umask,
        "a.md": 0o600 & ~umask,
        "state": 0o700 & ~umask,
        "h.db": 0o600 & ~umask,
    }


def test_reports_of_a_command_are_private(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    assert (
        run("report", str(concluded(tmp_path / "v")), "-f", "html", "-o", str(tmp_path / "a.html")).code == 0
    )
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o600
