"""Help, version and bad usage: plain lines, the contract's codes, and nothing started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.app import COMMANDS
from agent.experiment.victim_metrics.readers import READERS
from collectors.host.hierarchy import detect_layout
from collectors.host.live import live
from tests.cli.running import JOSTLE, ROOT, is_one_line, run

# The words of the libraries below.
INTERNAL = re.compile(
    r"Input should be|Value error|Invalid value|unable to parse|argument\(s\)|pydantic|<.*>"
)
SCREEN_LINES, SCREEN_COLUMNS = 24, 80


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_shows_an_example(command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert ended.out.count("\n") < SCREEN_LINES  # one is the prompt's
    assert max(map(len, ended.out.splitlines())) <= SCREEN_COLUMNS
    assert f"Example: jostle {command}" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_words_of_the_parser(command: str) -> None:
    assert not re.search(r"list\[|<(int|str|float|path)\b", run(command, "--help").out)


def test_doctor_says_of_each_reader_what_one_result_is() -> None:
    shown = run("doctor", "metrics")
    assert shown.code == 0
    for name in READERS:
        assert re.search(rf"^{name}$", shown.out, re.MULTILINE)
    said = " ".join(shown.out.split())
    assert [reader.about for reader in READERS.values() if reader.about not in said] == []
    assert run("doctor", "metrics", "--json").code == 2


def test_every_option_is_in_the_help_or_in_all_of_it() -> None:
    short, long = run("experiment", "--help").out, run("experiment", "--help-all").out
    assert "--help-all" in short
    assert {"--seed", "--demo"} & set(short.split()) == set()
    assert {"--seed", "--demo", *re.findall(r"--[a-z-]+", short)} - set(
        re.findall(r"--[a-z-]+", long)
    ) == set()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("jostle re", {"record", "report"}), ("jostle top --so", {"--sort"}), ("jostle blame --js", {"--json"})],
)
def test_the_shell_completes_commands_and_options(typed: str, offered: set[str]) -> None:
    words = typed.split()
    asked = {
        **os.environ,
        "_JOSTLE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(JOSTLE, capture_output=True, text=True, check=False, env=asked)
    assert set(done.stdout.split()) == offered


def completed(typed: str, cwd: Path) -> set[str]:
    asked = {
        **os.environ,
        "_JOSTLE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(JOSTLE, capture_output=True, text=True, check=False, env=asked, cwd=cwd)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "command", ["report", "compare", "compare a.run", "blame / --run", "compare --within"]
)
def test_the_shell_completes_recordings(command: str, tmp_path: Path) -> None:
    for name in ("b.run", "bad.txt", "b.json"):
        (tmp_path / name).touch()
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "verdict.json").touch()
    assert completed(f"jostle {command} b", tmp_path) == {"b.run", "b.json", "bench/"}
    assert completed(f"jostle {command} bench/v", tmp_path) == {"bench/verdict.json"}
    assert completed(f"jostle {command} nosuch/v", tmp_path) == set()


@pytest.mark.parametrize(
    "command", ["blame", "top --cgroup", "experiment --victim-cgroup", "experiment --neighbour-cgroup"]
)
def test_the_shell_completes_cgroups_as_the_resolver_takes_them(command: str, tmp_path: Path) -> None:
    paths = completed(f"jostle {command} /", tmp_path)
    assert "/" in paths
    known = live(detect_layout())
    assert paths & known.paths
    name = next((name for name in known.spellings if re.fullmatch(r"[a-z][a-z.-]+", name)), None)
    assert name is None or name in completed(f"jostle {command} {name[:3]}", tmp_path)


def test_help_says_of_each_command_what_its_own_help_says() -> None:
    listed = run("--help").out
    for name, line in COMMANDS.items():
        assert re.search(rf"\n  {name} +{re.escape(line)}\n", listed), name
        assert line in " ".join(run(name, "--help").out.split()), name


def test_each_command_is_summed_up_in_a_whole_sentence_of_one_line() -> None:
    listed = run("--help").out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(COMMANDS)
    assert [line for line in listed if not line.endswith(".") or "..." in line] == []
    assert max(map(len, listed)) <= SCREEN_COLUMNS


@pytest.mark.parametrize("words", [("-d", "0"), ("--json", "-d", "0")])
def test_jostle_alone_takes_the_options_of_now(words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert ended.code == 2
    assert ended.err == run("now", "-d", "0").err


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    ended = run(option)
    assert (ended.code, ended.out.split()[0]) == (0, "jostle")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["bogus"], "'bogus': see `jostle --help`"),
        (["record", "--bogus"], "--bogus"),
        (["experiment", "--seed", "x"], "--seed x is not a whole number: see"),
        (["experiment", "--pairs", "1.5"], "--pairs 1.5 is not a whole number: see"),
        (["experiment", "--threshold", "x"], "--threshold x is not a number: see"),
        (["experiment", "--tier", "foo"], "--tier foo is not one of ebpf, schedstat, psi: see"),
        (["experiment", "--trial-seconds", "1y"], "--trial-seconds 1y is not a duration: give 10, 10s, 10m"),
        (["experiment", "--timeout", "soon"], "--timeout soon is not a duration"),
        (["selftest", "--repeat", "0"], "--repeat 0 is below 1: see"),
        (["selftest", "--repeat", "1e9"], "--repeat 1e9 is not a whole number"),
        (["top", "--sort", "bogus"], "--sort bogus is not one of "),
        (["top", "extra"], "unexpected argument extra: see"),
        (["report", "a", "b", "c"], "unexpected argument b c: see"),
        (["record", "-d", "10q"], "-d 10q is not a duration: give 10, 10s, 10m or 2h"),
        (["record", "-d", ""], "-d  is not a duration"),
        (["top", "-i", "1w"], "-i 1w is not a duration"),
        (["blame", "/", "-d", "1,5"], "-d 1,5 is not a duration"),
        (["experiment", "--victim"], "'--victim' requires an argument: see `jostle experiment --help`"),
        (["experiment", "--victim", "true"], "--neighbour"),
        (["experiment", "--victim", "nosuch\x1b", "--neighbour", "true"], "nosuch\\x1b"),
        (["blame"], "CGROUP is missing: see"),
        (["blame", "/", "-d", "nan"], "-d nan"),
        (["blame", "/", "-d", "1", "--run", "a.run"], "-d or --run"),
        (["blame", "/no/such\x1b"], "no cgroup /no/such\\x1b"),
        (["blame", ""], "no cgroup without a name"),
        (["top", "--once", "--cgroup", "hlt-web"], "no cgroup hlt-web"),
        (["top", "--once", "--cgroup", "/hlt-web*"], "no cgroup that matches /hlt-web*"),
        (["report"], "RUN"),
        (["report", "x", "-f", "pdf"], "pdf"),
        (["compare", "only-one"], "WITH"),
        (["record", "-d", "0"], "-d 0"),
        (["record", "-d", "-1"], "-d -1"),
        (["record", "-d", "nan"], "-d nan"),
        (["record", "-i", "0.01"], "-i 0.01"),
        (["record", "-i", "inf"], "-i inf"),
        (["record", "--", "nosuch-program"], "nosuch-program is not in PATH"),
    ],
)
def test_bad_usage_is_one_plain_line(words: list[str], named: str, tmp_path: Path) -> None:
    ended = run(*words, cwd=tmp_path)
    assert ended.code == 2
    assert ended.out == ""
    assert is_one_line(ended.err)
    assert named in ended.err
    assert INTERNAL.search(ended.err) is None
    assert list(tmp_path.iterdir()) == []


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == run("--version").out


@pytest.mark.parametrize("option", ["--neighbour", "--neighbor"])
def test_the_neighbour_is_spelt_either_way(option: str) -> None:
    ended = run("experiment", "--victim", "true", option, "nosuch-program")
    assert "nosuch-program is not in PATH" in ended.err
    ended = run("experiment", "--victim", "true", f"{option}-cgroup", "/no/such")
    assert "no cgroup /no/such" in ended.err


def test_debug_adds_the_traceback_and_keeps_the_code() -> None:
    ended = run("--debug", "experiment", "--victim", "nosuch", "--neighbour", "true")
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert is_one_line(ended.err.splitlines(keepends=True)[-1])


def test_what_needs_no_statistics_does_not_pay_for_them() -> None:
    script = (
        "import sys\n"
        "from agent.cli import app, record, experiment, report, compare, doctor\n"
        "print([name for name in ('numpy', 'scipy', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


def test_help_does_not_pay_for_what_commands_do() -> None:
    script = (
        "import sys\n"
        "from agent.cli.app import app, main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "experiment" in done.stdout
    loaded = set(done.stderr.split())
    assert "agent.cli.app" in loaded
    assert [name for name in loaded if name.partition(".")[0] in {"collectors", "msgspec", "rich"}] == []
