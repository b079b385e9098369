"""`jostle experiment` as its users run it: the verdict, and everything that can go wrong with what they give it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent.documents.verdict import Conclusion, Verdict
from agent.store.run_file import read_run
from collectors.host.hierarchy import detect_layout
from tests.cli.running import Ended, is_one_line, is_running, left_behind, marked_sleep, run
from tests.slowness import SLOWNESS

pytestmark = pytest.mark.kernel
OUTPUTS = Path(__file__).parents[1] / "agent/experiment/victim_metrics/outputs"
METRIC = r"took=took (\d+):lower"
ONE_PAIR = ("--pairs", "1", "--max-pairs", "1")
BUSY = (
    f"i=0; while [ $i -lt {300_000 / SLOWNESS:.0f} ]; do i=$((i+1)); done"  # a fixed piece of work on the CPU
)


def experiment(directory: Path, victim: str, neighbour: str, *more: str) -> Ended:
    return run(
        "experiment", "--victim", victim, "--neighbour", neighbour, "-o", str(directory / "out"), *more
    )


def verdict_in(directory: Path) -> Verdict:
    return Verdict.from_document(json.loads((directory / "out/verdict.json").read_text()))


@pytest.mark.known_answer
def test_a_busy_victim_beside_a_busy_neighbour_is_interference(tmp_path: Path) -> None:
    cpu = str(max(os.sched_getaffinity(0)))
    ended = experiment(tmp_path, BUSY, "stress-ng --cpu 2 -q", "--cpus", cpu, "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["verdict"] == "interference", document["reason"]
    assert document["causes"][0]["cause"] == "cpu-wait"
    assert document["aggressors"][0]["name"] == "neighbour-1 stress-ng"
    assert sum(cause["share_pct"] for cause in document["causes"]) == pytest.approx(100, abs=0.5)
    assert document["victim_cgroup"] not in {entry["cgroup"] for entry in document["aggressors"]}
    assert Verdict.from_document(document) == verdict_in(tmp_path)
    assert left_behind(ended, "stress-ng --cpu 2 -q") == []


@pytest.mark.known_answer
def test_an_idle_neighbour_is_never_interference(tmp_path: Path) -> None:
    ended = experiment(tmp_path, BUSY, "sleep 1000", "--pairs", "4", "--max-pairs", "4", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["verdict"] in {"no-interference", "inconclusive"}


def test_a_victim_that_only_fails_beside_its_neighbours_is_interfered_with(tmp_path: Path) -> None:
    """What wrk printed on a quiet day, and what it printed of a server that answered with 404."""
    neighbour = marked_sleep()
    victim = (
        f"sleep 0.1; if pgrep -xf '{neighbour}' > {tmp_path}/pids; then cat {OUTPUTS}/wrk-404.txt; "
        f"else cat {OUTPUTS}/wrk-plain.txt; fi"
    )
    ended = experiment(tmp_path, victim, neighbour, "--metric", "wrk", "--pairs", "6", "--max-pairs", "10")
    assert ended.code == 0, ended.err
    verdict = verdict_in(tmp_path)
    assert (verdict.verdict, verdict.causes, verdict.quality.ok) == (Conclusion.INTERFERENCE, (), False)
    assert "errors" in ended.out.splitlines()[0]


def test_every_trial_leaves_its_output_and_its_recording(tmp_path: Path) -> None:
    ended = experiment(tmp_path, "echo hello; sleep 0.2", "sleep 1000", *ONE_PAIR)
    assert ended.code == 0
    raw = tmp_path / "out/raw"
    assert sorted(path.read_text() for path in raw.glob("trial-*-with*.stdout"))[-3:] == ["hello\n"] * 3
    runs = [read_run(path) for path in sorted(raw.glob("*.run"))]
    assert {run.meta["arm"] for run in runs} == {"with", "without"}
    assert [len(run.windows) for run in runs] == [1, 1]
    named = [file.path for file in verdict_in(tmp_path).files or ()]
    assert named[0] == "verdict.json"
    assert all((tmp_path / "out" / name).is_file() for name in named)


def test_the_plan_is_written_first_and_who_asks_twice_is_told(tmp_path: Path) -> None:
    assert experiment(tmp_path / "a", "true", "sleep 1000", *ONE_PAIR).code == 0
    (tmp_path / "a/out").rename(tmp_path / "first")
    assert experiment(tmp_path, "true", "sleep 1000", *ONE_PAIR).code == 0
    done = verdict_in(tmp_path).experiment
    assert done is not None
    assert done.earlier_runs == 1
    written = subprocess.run(
        ["sha256sum", tmp_path / "out/plan.json"], check=True, capture_output=True, text=True
    )
    assert done.plan_sha256 == written.stdout.split()[0]
    assert "in 1 earlier experiment in the same place" in (tmp_path / "out/report.md").read_text()


def test_what_it_costs_and_a_line_for_the_series(tmp_path: Path) -> None:
    cpu, file = str(max(os.sched_getaffinity(0))), tmp_path / "series.csv"
    words = ("--pairs", "4", "--cpus", cpu, "--cpu-cost", "100", "--instances", "40", "--append", str(file))
    victim = f"{BUSY}; case $(readlink /proc/$$/fd/1) in *-with.*) echo took 20 ;; *) echo took 10 ;; esac"
    ended = experiment(tmp_path, victim, "while :; do :; done", *words, "--metric", METRIC)
    assert ended.code == 0, ended.err
    found = verdict_in(tmp_path).capacity
    assert found is not None
    assert found.cpus_with == pytest.approx(2 * found.cpus_without, rel=0.01)
    assert found.extra_cost == pytest.approx(40 * 100 * found.cpus_without, rel=0.01)
    assert file.read_text().count("\n") == 2
    file.write_text("something else")
    ended = experiment(tmp_path / "b", victim, "sleep 1000", *words)
    assert ended.code == 2
    assert not (tmp_path / "b/out").exists()


def test_plan_tells_what_could_be_shown_and_keeps_nothing(tmp_path: Path) -> None:
    ended = experiment(tmp_path, "sleep 0.2", "sleep 1000", "--plan", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["schema"] == "jostle.plan/1"
    assert found["power"]["found_pct"] > found["question"]["threshold_pct"]
    assert not (tmp_path / "out").exists()
    assert left_behind(ended) == []


def test_commands_run_around_each_trial_and_may_void_it(tmp_path: Path) -> None:
    log, server = tmp_path / "log", marked_sleep()
    # The third preparation, that of the first trial after two warm-ups, says that the trial is not to count.
    prepare = f"echo before >> {log}; {server} & [ $(grep -c before {log}) != 3 ] || exit 75"
    around = ["--prepare", prepare, "--cleanup", f"echo after >> {log}", "--warmup", "2"]
    victim = f"pgrep -f '^{server}$' > /dev/null && echo victim >> {log}"
    ended = experiment(tmp_path, victim, marked_sleep(), *ONE_PAIR, *around)
    assert ended.code == 0, ended.err
    assert "trial 1 failed and will be repeated: --prepare exited with 75" in ended.err
    whole = ["before", "victim", "after"]
    assert log.read_text().split() == [*whole, *whole, "before", "after", *whole, *whole]
    assert verdict_in(tmp_path).quality.discarded == 1
    assert left_behind(ended, server) == []


@pytest.mark.parametrize("option", ["--prepare", "--cleanup"])
def test_a_command_around_a_trial_that_fails_ends_it_in_one_line(tmp_path: Path, option: str) -> None:
    ended = experiment(tmp_path, "true", "sleep 1000", option, "exit 3")
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    assert f"{option} exited with code 3" in ended.err
    assert left_behind(ended) == []


@pytest.mark.parametrize(
    ("victim", "told"),
    [
        ("exit 3", "exited with code 3"),
        ("kill -9 $$", "was killed by signal 9"),
        ("(nosuch-program)", "exited with code 127"),
    ],
)
def test_a_victim_that_fails_is_told_with_where_to_look(tmp_path: Path, victim: str, told: str) -> None:
    ended = experiment(tmp_path, victim, "sleep 1000")
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    assert told in ended.err
    stderr = Path(ended.err.split(" see ")[1].strip())
    assert stderr.is_file()
    assert left_behind(ended) == []


def test_a_victim_that_never_ends_is_given_up(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = experiment(tmp_path, f"{sleeper} & {sleeper}", "sleep 1000", "--timeout", "0.5")
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    assert "did not end within 0.5 s" in ended.err
    assert left_behind(ended, sleeper) == []


def test_a_metric_that_is_not_in_the_output_is_told_with_the_output(tmp_path: Path) -> None:
    ended = experiment(
        tmp_path, "echo so long; echo oops >&2", "sleep 1000", "--metric", r"x=took (\d+):lower"
    )
    assert ended.code == 1
    assert is_one_line(ended.err)
    assert r"'took (\\d+)'" in ended.err
    assert "'so long'" in ended.err
    assert "'oops'" in ended.err


def test_a_chatty_victim_is_read_from_its_end(tmp_path: Path) -> None:
    victim = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo took 12 ms"
    ended = experiment(tmp_path, victim, "sleep 1000", *ONE_PAIR, "--metric", r"took=took (\d+):lower")
    assert ended.code == 0
    effect = verdict_in(tmp_path).effect
    assert effect is not None
    assert (effect.without, effect.with_) == (12, 12)


def test_output_of_victim_and_neighbour_stays_out_of_the_document(tmp_path: Path) -> None:
    ended = experiment(
        tmp_path, "echo noise; echo noise >&2", "while echo noise; do sleep 0.1; done", *ONE_PAIR, "--json"
    )
    assert ended.code == 0
    assert json.loads(ended.out)["schema"] == "jostle.verdict/1"
    assert "noise" not in ended.err


@pytest.mark.parametrize("neighbour", ["exit 7", "true", "sleep 0.5"])
def test_a_neighbour_that_never_stays_is_no_neighbour(tmp_path: Path, neighbour: str) -> None:
    ended = experiment(tmp_path, "sleep 1", neighbour)
    assert (ended.code, ended.out) == (1, "")
    *told, last = ended.err.splitlines(keepends=True)
    assert len(told) == 3 or all("is void" in line for line in told)
    assert is_one_line(last)
    assert "3 trials with the neighbours failed" in last
    assert "neighbour-1.stderr" in last
    assert left_behind(ended) == []


def test_a_neighbour_that_dies_once_costs_a_trial_and_is_told(tmp_path: Path) -> None:
    died = tmp_path / "died"
    neighbour = f"[ -e {died} ] || {{ touch {died}; exit 7; }}; sleep 1000"
    ended = experiment(tmp_path, "sleep 0.2", neighbour, *ONE_PAIR)
    assert ended.code == 0
    assert "is void" in ended.err
    verdict = verdict_in(tmp_path)
    assert verdict.quality.discarded == 1
    assert any("exited with code 7" in warning for warning in verdict.quality.warnings)
    assert [trial.void is None for trial in verdict.trials or ()].count(False) == 1
    assert verdict.effect is not None
    assert verdict.effect.pairs == 1


def test_a_neighbour_in_the_background_is_a_neighbour_and_is_ended(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = experiment(tmp_path, "sleep 0.2", f"{sleeper} & (setsid {sleeper} &) & exit 0", *ONE_PAIR)
    assert ended.code == 0
    assert verdict_in(tmp_path).quality.discarded == 0
    assert left_behind(ended, sleeper) == []


def test_a_cgroup_that_vanishes_ends_the_experiment_cleanly(tmp_path: Path) -> None:
    # The warm-up moves itself away and removes its own cgroup; nothing can be started in it afterwards.
    layout = detect_layout()
    mounts = [mount for mount in (layout.v2_mount, layout.v1_mounts.get("cpu")) if mount]
    script = "".join(
        f"echo $$ > {mount}/cgroup.procs; rmdir {mount}/jostle-$PPID-*/victim; " for mount in mounts
    )
    ended = experiment(tmp_path, script, "sleep 1000")
    assert ended.code == 1
    assert "takes no process" in ended.err
    assert left_behind(ended) == []


@pytest.mark.parametrize(("words", "seed"), [((), None), (("--seed", "5"), 5), (("--seed=6",), 6)])
def test_the_command_that_repeats_it_names_the_seed_once(
    tmp_path: Path, words: tuple[str, ...], seed: int | None
) -> None:
    assert experiment(tmp_path, "true", "sleep 1000", *ONE_PAIR, *words).code == 0
    told = verdict_in(tmp_path).experiment
    assert told is not None
    assert seed in (None, told.seed)
    assert " ".join(told.command).count("--seed") == 1
    assert " ".join(told.command).replace("=", " ").endswith(f"--seed {told.seed}")


def test_an_earlier_experiment_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/verdict.json").write_text("precious")
    ended = experiment(tmp_path, "true", "sleep 1000")
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert (tmp_path / "out/verdict.json").read_text() == "precious"
    assert not (tmp_path / "out/raw").exists()


def test_a_place_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    ended = experiment(tmp_path, "true", "sleep 1000")
    assert ended.code == 2
    assert is_one_line(ended.err)


def test_a_full_disk_is_a_failure_in_one_line(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(tmp_path)], check=True)
    try:
        ended = experiment(tmp_path, "sleep 0.1", sleeper, "--pairs", "4", "--max-pairs", "4")
        assert (ended.code, ended.out) == (1, "")
        assert is_one_line(ended.err.splitlines(keepends=True)[-1])
        assert not (tmp_path / "out/verdict.json").exists()
        assert not is_running(sleeper)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_gate_turns_the_verdict_into_a_code(tmp_path: Path) -> None:
    ended = experiment(tmp_path, "sleep 0.1", "sleep 1000", *ONE_PAIR, "--gate")
    assert ended.code == 11
    assert verdict_in(tmp_path).verdict == "inconclusive"


def test_names_are_harmless_in_every_message(tmp_path: Path) -> None:
    ended = experiment(tmp_path, "exit 3 # \x1b[2J", "sleep 1000")
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert "x1b[2J" in ended.err


def test_nothing_piles_up_in_jostle_from_trial_to_trial(tmp_path: Path) -> None:
    victim = "ls /proc/$PPID/fd | wc -l; cat /proc/$PPID/task/*/children | wc -w"
    ended = experiment(tmp_path, victim, "sleep 1000", "--pairs", "4", "--max-pairs", "4")
    assert ended.code == 0
    for arm in ("with", "without"):
        paths = sorted((tmp_path / "out/raw").glob(f"trial-*-{arm}.stdout"))
        descriptors, children = zip(*[map(int, path.read_text().split()) for path in paths], strict=True)
        assert len(children) >= 4
        assert len(set(children)) == 1
        # Files that are read for the second time stay open from then on; the gate may be open still.
        _, *later = descriptors
        assert max(later) - min(later) <= 1


def test_trials_that_print_different_units_are_refused_with_what_to_write(tmp_path: Path) -> None:
    # 850us without the neighbour, 1.2ms beside it: as bare numbers, 99.9 % faster.
    sleeper = marked_sleep()
    victim = f"sleep 0.2; if test -e {tmp_path}/there; then echo p99: 1.2ms; else echo p99: 850us; fi"
    neighbour = f"trap 'rm {tmp_path}/there' EXIT TERM; touch {tmp_path}/there; {sleeper} & wait"
    ended = experiment(tmp_path, victim, neighbour, "--metric", "p99=p99: ([0-9.]+):lower", *ONE_PAIR)
    assert ended.code == 2
    assert "name the unit to compare in: --metric 'p99=REGEX:lower:" in ended.err
    assert left_behind(ended, sleeper) == []


def test_a_pattern_without_end_is_bad_usage(tmp_path: Path) -> None:
    victim = f"sleep 0.1; echo {'a' * 60}"
    ended = experiment(tmp_path, victim, "sleep 1000", "--metric", "x=(a+)+b:lower", *ONE_PAIR)
    assert (ended.code, ended.out) == (2, "")
    assert "took more than 2 s" in ended.err


def test_a_victim_that_prints_without_end_leaves_a_bounded_output(tmp_path: Path) -> None:
    victim = "yes noise | head -c 30000000; echo latency 12"
    ended = experiment(
        tmp_path, victim, "sleep 1000", "--metric", r"x=^latency (\d+)$:lower:ms", "--json", *ONE_PAIR
    )
    assert json.loads(ended.out)["effect"]["without"] == 12
    sizes = [path.stat().st_size for path in (tmp_path / "out/raw").glob("*.stdout")]
    assert max(sizes) < 5_000_000
