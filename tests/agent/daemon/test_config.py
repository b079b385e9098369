"""A configuration: what is allowed is taken, everything else is refused with its line and what would be allowed."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon import config
from agent.daemon.config import AgentConfig, Config, HistoryConfig, RuleConfig
from agent.daemon.settings import line_of, read, setting
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
signal = "wait_per_run"
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
        RuleConfig(signal="wait_per_run", limit=50.0),
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
            r"agent\.window_s: 0\.0 is not allowed; allowed: 0\.2 to 3600 seconds",
        ),
        ("[agent]\nwindow_s = nan\n", 2, r"nan is not allowed"),
        ("[agent]\nwindow_s = 99999999999999999999999\n", 2, r"inf is not allowed"),
        ("[agent]\nwindow_s = true\n", 2, r"must be a number \(0\.2 to 3600 seconds\), not True"),
        ('[agent]\nwindow_s = "10"\n', 2, r"must be a number .*, not '10'"),
        (
            '[agent]\ntier = "perf"\n',
            2,
            r"'perf' is not allowed; allowed: \"ebpf\" or \"schedstat\" or \"psi\"",
        ),
        ('agent.cgroups = "x"\n', 1, r"must be a list, not 'x'"),
        ('[agent]\ncgroups = [\n"/a",\n  7]\n', 2, r"agent\.cgroups\[1\]: must be text .*, not 7"),
        ("[history]\nenabled = 1\n", 2, r"history\.enabled: must be true or false, not 1"),
        ("agent = 1\n", 1, r"agent: must be a table, not 1"),
        ('[history]\npath = "a.db"\n', 2, r"history\.path: .* allowed: an absolute path"),
        ("[history]\nmax_size_mib = 64.5\n", 2, r"must be a whole number"),
        ("[detection]\nwindows = 2\nexceeded = 3\n", 1, r"detection: exceeded = 3 cannot happen"),
        ("[[detection.rules]]\n[[detection.rules]]\nmethod = 'x'\n", 3, r"detection\.rules\[1\]\.method"),
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
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        loaded(tmp_path, text)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration"):
        config.load(tmp_path / name)


@dataclass(frozen=True)
class Numbers:
    a: int = setting(0)
    b: int = setting(0)
    c: int = setting(0)


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
    with pytest.raises(UsageError, match=f"^x:{expected}: {wrong}: must be a whole number"):
        read(Numbers, text, "x")


@given(st.text(alphabet="[]{}=\"'\n\\.,#ab1 agent_window", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read(Config, text, "x")
    except UsageError as error:
        assert str(error).startswith("x:")  # noqa: PT017  that it is raised is not the point
