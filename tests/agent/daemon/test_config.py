"""A configuration: what is allowed is taken, everything else is refused with its line and what would be allowed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon import config
from agent.daemon.config import AgentConfig, Config, HistoryConfig, RuleConfig
from agent.daemon.settings import Section, line_of, read
from probes.errors import UsageError

FULL = """\
# what is read
[agent]
window_s = 5
cgroups = [
    "/kubepods*",  # pods
    "/system.slice/*",
]

[history]
path = "/srv/jostle.db"
max_size_mib = 64

[[detection.rules]]
indicator = "wait_per_run"
limit = 50.0

[[detection.rules]]
method = "sigma"
"""


def loaded(tmp_path: Path, text: str | bytes) -> Config:
    path = tmp_path / "jostle.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(path)


def test_what_is_given_is_taken_and_the_rest_has_its_default(tmp_path: Path) -> None:
    found = loaded(tmp_path, FULL)
    assert found.agent == AgentConfig(window_s=5.0, cgroups=("/kubepods*", "/system.slice/*"))
    assert found.history == HistoryConfig(path="/srv/jostle.db", max_size_mib=64)
    assert found.detection.rules == (
        RuleConfig(indicator="wait_per_run", limit=50.0),
        RuleConfig(method="sigma"),
    )
    assert found.metrics == Config().metrics


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == Config()


def test_without_a_default_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "none.toml")
    assert config.load(None) == Config()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[agnet]\n", 1, r"agnet: there is no such key; there are: agent, history"),
        ("\n[agent]\nwindow = 5\n", 3, r"agent\.window: there is no such key; there are: window_s, cgroups"),
        (
            "[agent]\nwindow_s = 0\n",
            2,
            r"agent\.window_s: 0 is not allowed; allowed: 0\.2 to 3600 seconds",
        ),
        ("[agent]\nwindow_s = nan\n", 2, r"nan is not allowed"),
        ("[agent]\nwindow_s = 99999999999999999999999\n", 2, r"99999999999999999999999 is not allowed"),
        ("[agent]\nwindow_s = true\n", 2, r"True is not allowed; allowed: 0\.2 to 3600 seconds"),
        ('[agent]\nwindow_s = "10"\n', 2, r"'10' is not allowed; allowed: 0\.2"),
        (
            '[agent]\ntier = "perf"\n',
            2,
            r"'perf' is not allowed; allowed: \"ebpf\" or \"schedstat\" or \"psi\"",
        ),
        ('agent.cgroups = "x"\n', 1, r"agent\.cgroups: 'x' is not allowed; expected `array`, got `str`"),
        (
            '[agent]\ncgroups = [\n"/a",\n  7]\n',
            2,
            r"agent\.cgroups\[1\]: 7 is not allowed; allowed: a pattern",
        ),
        ("[history]\nenabled = 1\n", 2, r"history\.enabled: 1 is not allowed; expected `bool`, got `int`"),
        ("agent = 1\n", 1, r"agent: 1 is not allowed; expected `object`, got `int`"),
        ('[history]\npath = "a.db"\n', 2, r"history\.path: .* allowed: an absolute path"),
        ("[history]\nmax_size_mib = 64.5\n", 2, r"64\.5 is not allowed; allowed: 4 to 1.* MiB"),
        ("[detection]\nwindows = 2\nexceeded = 3\n", 1, r"detection: exceeded = 3 cannot happen"),
        ("[[detection.rules]]\n[[detection.rules]]\nmethod = 'x'\n", 3, r"detection\.rules\[1\]\.method"),
        ('"a` - at `$.b" = 1\n', 1, r"'a` - at `\$\.b': there is no such key"),
        ('\nagent.tier = "a` - at `$.b\\n"\n', 2, r"agent\.tier: 'a` - at"),
        ("[agent]\n[agent.cgroups]\na = 1\n", 2, r"agent\.cgroups: .* expected `array`, got `object`"),
        ('"a\\u001bb" = 1\n', 1, r"'a\\x1bb': there is no such key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, told: str
) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}/jostle.toml:{line}: .*{told}") as raised:
        loaded(tmp_path, text)
    assert raised.value.exit_code == 2
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[agent\n", r"jostle\.toml: .*line 1"),
        ("a = 1\na = 2\n", r"jostle\.toml: .*line 2"),
        (b"[agent]\n# \xff\n", r"jostle\.toml:2: not UTF-8"),
        (b"#" * 70_000, r"jostle\.toml is longer than"),
        (b"a=" + b"[" * 61_000, r"jostle\.toml: its values are nested too deeply"),
        (b"a=" + b"[" * 30_000 + b"]" * 30_000, r"jostle\.toml: its values are nested too deeply"),
        (b"a=" + b"{b=" * 40 + b"1" + b"}" * 40 + b"\nc = 1\n", r"jostle\.toml:1: a: there is no such key"),
        (b"# \n" + b"a." * 30_000 + b"a = 1", r"jostle\.toml: More than 200 dots \(at line 2\)"),
        (b"[" + b"a ." * 20_000 + b"a]", r"jostle\.toml: More than 200 dots \(at line 1\)"),
        (b'a = "' + b'\\"' * 30_000, r"jostle\.toml: "),
        (b'a = """' + b'\\"""' * 15_000 + b"\\", r"jostle\.toml: "),
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        loaded(tmp_path, text)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration"):
        config.load(tmp_path / name)


MANY_LINES: list[tuple[str, int]] = [
    ("agent.cgroups = [\n" + '"/a",\n' * 9_000 + "7]\n", 1),
    ("# a\n" * 15_000 + "agent.window_s = 0", 15_001),
    ("[[detection.rules]]\n" * 3_000 + "limit = -1\n", 3_001),
    ('history.path = """' + "\n" * 60_000 + '"""', 1),
    ("agent.window_s = 5 # [\n" + "\r\n" * 30_000 + "[metrics]\nmax_pairs = -1", 30_003),
]


@pytest.mark.parametrize(("text", "line"), MANY_LINES)
def test_each_line_is_parsed_twice_at_most(text: str, line: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as part of the file, once to find where the wrong key stands."""
    parse = tomllib.loads
    parsed = []

    def counted(part: str) -> dict[str, Any]:
        parsed.append(len(part))
        return parse(part)

    monkeypatch.setattr(tomllib, "loads", counted)
    with pytest.raises(UsageError, match=f"^x:{line}: "):
        read(Config, text, "x")
    assert sum(parsed) <= 2 * len(text)


TABLES = "[a]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[a.b.d]\ne = 3\n"


@pytest.mark.parametrize(
    ("text", "at", "line"),
    [
        (TABLES, ("a", "b", 1, "d", "e"), 7),
        (TABLES, ("a", "b", 1), 4),
        ("a = {b = [\n1,\n2]}\n", ("a", "b", 1), 1),
        ("[x.\"a.b\"]\n'c' = ']\"'\nd = '''\n['''\n[y]\n z = 1", ("y", "z"), 6),
        ("\n  [ a . b ]\n  c.d = 1\n", ("a", "b", "c", "d"), 3),
        ("[b]\n[a.c]\n", ("a",), 2),
    ],
)
def test_the_line_of_a_key_in_any_kind_of_table(text: str, at: tuple[str | int, ...], line: int) -> None:
    assert line_of(text, at) == line


class Numbers(Section, frozen=True):
    a: int = 0
    b: int = 0
    c: int = 0


@given(st.permutations("abc"), st.integers(0, 3), st.sampled_from("abc"))
def test_the_line_is_the_one_on_which_the_key_stands(order: list[str], blank: int, wrong: str) -> None:
    lines = ["# a = 1"] * blank
    for key in order:
        lines += [
            f"{key} = 1" if key != wrong else f'{key} = """',
            *([] if key != wrong else ["a = 2", '"""']),
            "",
        ]
    text = "\n".join(lines)
    expected = blank + 1 + next(n for n, line in enumerate(lines[blank:]) if line.startswith(f'{wrong} = "'))
    assert line_of(text, (wrong,)) == expected
    with pytest.raises(UsageError, match=f"^x:{expected}: {wrong}: .* is not allowed; expected `int`"):
        read(Numbers, text, "x")


@given(st.text(alphabet="[]{}=\"'\n\\.,#ab1 agent_window", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read(Config, text, "x")
    except UsageError as error:
        assert str(error).startswith("x:")  # noqa: PT017  that it is raised is not the point
