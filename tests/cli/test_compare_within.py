"""`jostle compare --within`: on recordings made up, on a real one, and on everything else."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from agent.store.run_file import RunWriter, pack
from collectors.host.hierarchy import detect_layout
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import OTHER, VICTIM, cgroup, window
from tests.agent.sandbox.foreign import foreign_cgroup, host_mounts, outweigh, outweighing
from tests.cli.running import is_one_line, run

TENANT = "/tenant"
PYTHON = shlex.quote(sys.executable)


def recorded(path: Path, text: str = "qqbb" * 8) -> Path:
    with RunWriter(path, {"host": pack(HOST), "tier": "ebpf"}) as writer:
        for number, letter in enumerate(text):
            busy = letter == "b"
            waits = {OTHER: 0.01 + 0.001 * (number % 3)} | ({TENANT: 0.3} if busy else {})
            writer.append(window(cgroup(0.5, waits), cgroup(0.5 if busy else 0.001, path=TENANT)))
        writer.finish()
    return path


def test_a_tenant_that_came_and_went(tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "a.run"), tmp_path / "v.json"
    words = ("compare", "--within", str(path), "--tenant", TENANT, "--cgroup", VICTIM)
    ended = run(*words, "--json", "-o", str(file))
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert (document["verdict"], document["aggressors"][0]["cgroup"]) == ("interference", TENANT)
    assert "less certain than an experiment" in document["reason"]
    assert ended.out == file.read_text()
    assert run("report", str(file)).code == 0
    assert "INTERFERENCE" in run(*words).out


def test_too_few_windows_are_inconclusive(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.run", "qqqqb")
    ended = run("compare", "--within", str(path), "--tenant", TENANT, "--cgroup", VICTIM)
    assert ended.code == 0
    assert "INCONCLUSIVE" in ended.out
    assert "was busy in 1 of 5 windows" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--within", "RUN"], "--tenant CGROUP is missing"),
        (["--tenant", TENANT], "--within RUN is missing"),
        (["--within", "RUN", "--tenant", TENANT], "which cgroup is the victim"),
        (
            ["--within", "RUN", "--tenant", "/no", "--cgroup", VICTIM],
            "there is no cgroup /no in the recording",
        ),
        (
            ["--within", "RUN", "--tenant", TENANT, "--cgroup", "/no"],
            "there is no cgroup /no in the recording",
        ),
        (["--within", "RUN", "--tenant", VICTIM, "--cgroup", VICTIM], "are one"),
        (["--within", "RUN", "--tenant", TENANT, "--cgroup", VICTIM, "--threshold", "0"], "--threshold"),
        (["RUN", "--within", "RUN", "--tenant", TENANT], "leave one of them out"),
        (["--within", "/no/such.run", "--tenant", TENANT], "/no/such.run"),
        ([], "WITHOUT and WITH"),
        (["RUN"], "WITH"),
    ],
)
def test_bad_usage_is_one_line(tmp_path: Path, words: list[str], told: str) -> None:
    path = str(recorded(tmp_path / "a.run"))
    ended = run("compare", *(path if word == "RUN" else word for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert is_one_line(ended.err)


@pytest.mark.kernel
def test_a_real_tenant_that_bursts_on_the_victims_cpu(tmp_path: Path) -> None:
    layout = detect_layout()
    # Both outweigh whoever else is on that CPU.
    spin = f"{outweighing(host_mounts(layout))}; exec timeout 15 taskset -c 0 {PYTHON} -c 'while True: pass'"
    burst = f"{PYTHON} -m agent.selftest.workloads.neighbour bursty --processes 1 --period-ms 1500"
    path = tmp_path / "a.run"
    with foreign_cgroup(host_mounts(layout), f"exec taskset -c 0 {burst}") as tenant:
        outweigh(*tenant.directories)
        ended = run("record", "-i", "0.1", "-d", "12", "-o", str(path), "--", "sh", "-c", spin)
        assert path.exists(), ended.err
        compared = run("compare", "--within", str(path), "--tenant", tenant.path, "--json")
    assert compared.code == 0, compared.err
    document = json.loads(compared.out)
    assert document["verdict"] == "interference", document["reason"]
    assert document["causes"][0]["cause"] == "cpu-wait"
    assert document["aggressors"][0]["cgroup"] == tenant.path
