"""A fuzzer of every file that jostle reads and somebody else may have written: `make fuzz`, or for long `SECONDS=3600`.

Each mutation is read by the command itself, in a forked child of a process that has imported all of it. It must end
with exit code 0, or 2 and one line, within 5 s of CPU time and 256 MB, without a traceback. What does not is kept in
`build/fuzz/` beside its seed.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agent.cli import app
from agent.documents.event import EventState
from agent.experiment.victim_metrics import parse_spec, read_metrics
from agent.experiment.victim_metrics.readers import READERS
from agent.fleet.place import Folder
from agent.fleet.ship import ship
from collectors.host.names import name_workload
from collectors.sources.cgroup_formats import IO_V1, IO_V2, MEMORY_V1, MEMORY_V2, kernel_files
from probes import kept
from probes.bpf_syscall import MapShape
from probes.compiled import SCHEMA, CompiledProbes
from probes.errors import JostleError
from tests.agent.daemon.observations import event
from tests.agent.documents.verdicts import CONTRACT_EXAMPLE
from tests.agent.fleet.histories import BEGIN_NS, HOUR_NS, each_minute, history
from tests.agent.store.checksums import rechecked
from tests.agent.store.test_query import told
from tests.cli.running import is_one_line
from tests.cli.test_report import recorded

LEAST_MUTATIONS = 2000
MOST_CPU_S, MOST_BYTES = 5, 256 << 20
# So many of them are there with all of jostle imported; what a fork of this process takes besides is for reading.
IMPORTED_BYTES = 162 << 20
HANGS_S = 60  # waits for what never comes, and takes no CPU time
ROOT = Path(__file__).parents[2]
CONTAINER = "a" * 64
_PODMAN = b'[{"id": "%s", "names": ["web"], "metadata": "{}"}]' % CONTAINER.encode()
_KEY, _PROBES = "0" * 64, b'{"schema": "jostle.probes'
_NUMBERS = (0, -1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**30, 0.5, 1e308)
_ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS key, i AS value FROM n"
)
_EDITS = (
    "UPDATE windows SET packed = zeroblob({number} % 17000000)",
    "UPDATE windows SET {column} = {number}",
    "UPDATE windows SET {column} = 'text'",
    "UPDATE facts SET value = '{text}'",
    "UPDATE facts SET recording = {number}",
    "UPDATE events SET document = '{text}'",
    "UPDATE meta SET value = 'jostle.run/{number}'",
    "DELETE FROM windows WHERE id = 2",
    "DROP TABLE events",
    f"CREATE VIEW v AS {_ENDLESS}",
    "CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM facts; END",
    "INSERT INTO facts WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n LIMIT 999) SELECT i, i, 0, 0 FROM n",
)
_PIECES = (
    *(b"[" * 5000, b'{"a":' * 5000, b"NaN", b"1e999", b"9" * 5000, b"null", b"\xff\xfe", b"\\ud800", b"\0"),
    *(b"{}," * 1_300_000, b"[]," * 2_000_000),
    *(b'"', b"'''", b"=" * 99, b"a." * 300, b"\n" * 3000, b"x" * 70000, b"-1", b"true", b"\x1b[2J"),
)


@dataclass(frozen=True)
class Target:
    """What is mutated, and who reads it: `read` gets the mutated file in a child."""

    name: str
    whole: bytes
    read: Callable[[Path], None]


def jostle(*words: str) -> Callable[[Path], None]:
    """The command, with the file for `FILE`."""
    return lambda path: app.main([word.replace("FILE", str(path)) for word in words])


_STATES = {
    f"/docker/{CONTAINER}": f"var/lib/docker/containers/{CONTAINER}/config.v2.json",
    f"/kubepods/podab/{CONTAINER}": f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{CONTAINER}/config.json",
    f"/machine.slice/libpod-{CONTAINER}.scope": "var/lib/containers/storage/overlay-containers/containers.json",
}


def _state(path: Path) -> None:
    """As each runtime's: its container must still have a name, its id where the file is no good."""
    for number, (cgroup, file) in enumerate(_STATES.items()):
        place = path.parent / f"root-{number}" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        if not name_workload(cgroup, path.parent / f"root-{number}").name:
            raise AssertionError(cgroup)


def _cached_probes(path: Path) -> None:
    """What is no good is not taken: then the probes are compiled."""
    place = path.parent / "cache"
    place.mkdir(mode=0o755, exist_ok=True)
    (place / f"{_KEY}.probes").write_bytes(path.read_bytes())
    found = kept.find(_KEY, place)
    if found.probes is None and found.why_not is None:
        raise AssertionError("neither taken nor told why not")


def _shipped(dataset: Path, table: str, question: str) -> Callable[[Path], None]:
    """A question to a dataset whose one file of a table is this."""
    (file,) = dataset.glob(f"v1/{table}/*/*/*.parquet")

    def read(path: Path) -> None:
        own = path.parent / f"asked-{table}"
        shutil.copytree(dataset, own, dirs_exist_ok=True)
        shutil.copy(path, own / file.relative_to(dataset))
        app.main(["fleet", question, str(own), "-f", "json"])

    return read


def _dataset(directory: Path) -> Path:
    past, place = directory / "shipped.db", directory / "dataset"
    history(past, each_minute(BEGIN_NS, 3), events=(event("/web", state=EventState.RAISED),))
    ship(past, Folder(place), None, {}, now_ns=BEGIN_NS + 100 * HOUR_NS)
    return place


def _kernel_file(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    for v1, formats in ((False, MEMORY_V2 + IO_V2), (True, MEMORY_V1 + IO_V1)):
        for file in kernel_files(formats, v1=v1):
            file.parse(text, str(path))


def _output(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    for spec in (*READERS, r"x=(\d+):lower", r"y=^latency +([\d.]+):lower:ms"):
        with contextlib.suppress(JostleError):  # one line each, as the experiment shows them
            read_metrics(parse_spec(spec), text, text)


def _of_dataset(directory: Path) -> list[Target]:
    dataset = _dataset(directory)
    return [
        Target(f"parquet-{table}", file.read_bytes(), _shipped(dataset, table, question))
        for table, question in (("cgroups", "victims"), ("pairs", "aggressors"))
        for file in dataset.glob(f"v1/{table}/*/*/*.parquet")
    ]


def targets(directory: Path) -> list[Target]:
    run = recorded(directory / "a.run").read_bytes()
    past_run = told(directory / "h.db", event("/a", state=EventState.RAISED)).read_bytes()
    verdict = json.dumps(CONTRACT_EXAMPLE).encode()
    past = ("--history-file", "FILE", "--since", "2020-01-01")
    outputs = sorted((ROOT / "tests/agent/experiment/victim_metrics").rglob("*.txt"))
    output = b"\n".join(path.read_bytes() for path in outputs)[:60_000] or b"latency 12.5 ms\n"
    probes = CompiledProbes(
        _KEY,
        {"lifecycle": MapShape(2, 4, 64, 1, 1024)},
        {"on_switch": bytes(160)},
        {"on_switch": {0: "lifecycle"}},
    )
    docker = b'{"Name": "/web", "Config": {"Labels": {"io.kubernetes.pod.name": "web"}}}'
    kernel = b"anon 4096\nfile 1\nhigh 3\nmax 0\n8:0 rbytes=4096 wbytes=0 rios=1\n8:0 Read 4096\nTotal 4096\n"
    return [
        *(Target(f"run-{form}", run, jostle("report", "FILE", "-f", form)) for form in ("json", "md")),
        Target("run-blame", run, jostle("blame", "/jostle-1/victim", "--run", "FILE")),
        Target("run-compare", run, jostle("compare", "FILE", "FILE", "--cgroup", "/jostle-1/victim")),
        Target("history", past_run, jostle("report", *past, "-f", "json")),
        *(
            Target(f"verdict-{form}", verdict, jostle("report", "FILE", "-f", form))
            for form in ("text", "md")
        ),
        Target(
            "config",
            (ROOT / "systemd/jostle.toml").read_bytes(),
            jostle("agent", "--check", "--config", "FILE"),
        ),
        Target("container", docker, _state),
        Target("container-podman", _PODMAN, _state),
        Target("probes", probes.to_text().encode(), _cached_probes),
        *_of_dataset(directory),
        Target("kernel-file", kernel, _kernel_file),
        Target("output", output, _output),
    ]


def mutated(whole: bytes, draw: random.Random, scratch: Path) -> bytes:
    """One mutation: of bytes, or of what a database, or a text, is made of."""
    if whole.startswith(b"SQLite") and draw.random() < 0.5:
        return _edited(whole, draw, scratch)
    if whole.startswith(_PROBES) and draw.random() < 0.5:
        return _resummed(whole, draw, scratch)
    data = bytearray(whole)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        at, to = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        kind = draw.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:to] = data[at:to] * draw.choice((0, 2, 3)) if len(data) < 1 << 20 else b""
        elif kind == 3:
            data[at:at] = whole[at:to]
        elif kind == 4:
            data[at:at] = draw.choice(_PIECES)
        else:
            data[at : at + 8] = draw.randbytes(8)
        if len(data) > 4 << 20:
            break
    return bytes(data)


def _resummed(whole: bytes, draw: random.Random, scratch: Path) -> bytes:
    """Compiled probes that say something else, with the checksum of what they say."""
    body = mutated(whole.partition(b"\n")[2][:-1], draw, scratch).replace(b"\n", b"")
    number = int.from_bytes(_KEY.encode() + b"\n" + body, "little") % (2**255 - 19)
    head = {"schema": SCHEMA, "key": _KEY, "checksum": f"{number:064x}"}
    return json.dumps(head).encode() + b"\n" + body + b"\n"


def _edited(whole: bytes, draw: random.Random, scratch: Path) -> bytes:
    """Edited by its own means, the checksums right again half of the time."""
    path = scratch / "edited"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as db, contextlib.suppress(sqlite3.Error, OverflowError):
        for _ in range(draw.choice((1, 1, 2))):
            statement = draw.choice(_EDITS).format(
                number=draw.choice(_NUMBERS),
                column=draw.choice(("recording", "end_utc_ns", "duration_ns", "packed")),
                text=draw.choice(("[" * 9000, "{}", "NaN", "9" * 5000, '{"schema": "jostle.run/1"}')),
            )
            db.execute(statement)
        if draw.random() < 0.5:
            rechecked(db)
        db.commit()
    return path.read_bytes()


def fault(read: Callable[[Path], None], path: Path) -> str | None:
    """What is wrong with how a file is read; None if nothing is."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begins_with = _resident_bytes()
        pid = os.fork()
        if not pid:
            _child(read, path, out.fileno(), err.fileno())
        end_s = time.monotonic() + HANGS_S
        while not (ended := os.wait4(pid, os.WNOHANG))[0]:
            if time.monotonic() > end_s:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return f"hangs for {HANGS_S} s"
            time.sleep(0.002)
        err.seek(0)
        said = err.read().decode(errors="replace")
        code, used = os.waitstatus_to_exitcode(ended[1]), ended[2]
    if code < 0:
        return f"ended by signal {-code} after {used.ru_utime:.1f} s"
    if (peak := IMPORTED_BYTES + (used.ru_maxrss << 10) - begins_with) > MOST_BYTES:
        return f"{peak >> 20} MB"
    if code not in {0, 2} or "Traceback" in said or "unexpected" in said:
        return f"exit code {code}: {said[-300:]}"
    return None if code == 0 or is_one_line(said) else f"not one line: {said[:300]}"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _child(read: Callable[[Path], None], path: Path, out: int, err: int) -> None:
    code = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # pytest's own lead elsewhere
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))
        read(path)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    except BaseException as error:  # noqa: BLE001  whatever comes out is told by the parent
        os.write(2, f"Traceback: {type(error).__name__}: {error}"[:500].encode(errors="replace"))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _import_all() -> None:
    """What a command imports when it runs, so that no child has to."""
    import duckdb  # noqa: F401
    import ibis  # noqa: F401

    import reports
    from agent import analysis, cli, fleet, store

    for package in (analysis, cli, fleet, store, reports):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("_process"):
                importlib.import_module(module.name)


def findings(directory: Path, seed: int, numbers: Iterator[int]) -> Iterator[tuple[str, bytes, str]]:
    """(name, mutation, what is wrong) of those mutations of these numbers that are read wrongly."""
    _import_all()
    all_of = targets(directory)
    for target in all_of:
        path = directory / "whole"
        path.write_bytes(target.whole)
        if wrong := fault(target.read, path):
            raise RuntimeError(f"{target.name} as it was written: {wrong}")
    for number in numbers:
        target = all_of[number % len(all_of)]
        data = mutated(target.whole, random.Random(f"{seed}:{number}"), directory)  # noqa: S311  no secret
        path = directory / "mutated"
        path.write_bytes(data)
        if wrong := fault(target.read, path):
            yield f"{target.name}-{seed}-{number}", data, wrong


def main(seconds: float, seed: int) -> int:
    """Fuzz for so long, LEAST_MUTATIONS at least; how many findings there are."""
    kept, found, tried = ROOT / "build/fuzz", 0, 0
    kept.mkdir(parents=True, exist_ok=True)
    end_s = time.monotonic() + seconds

    def numbers() -> Iterator[int]:
        nonlocal tried
        while tried < LEAST_MUTATIONS or time.monotonic() < end_s:
            yield tried
            tried += 1

    with tempfile.TemporaryDirectory() as directory:
        for name, data, wrong in findings(Path(directory), seed, numbers()):
            found += 1
            (kept / name).write_bytes(data)
            print(f"{name}: {wrong}", flush=True)
    print(f"{tried} mutations from seed {seed}, {found} findings", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**6) > 0)
