"""The first hour of a new user: five questions, each answered for real by what the screen says.

    python -m tests.first_hour [--fresh] [DIRECTORY]

builds each situation, types the commands, measures the time, and writes the transcripts to docs/first-hour.md below
DIRECTORY (this repository), the page for the review as a picture beside it, and the beginnings of some screens to
README.md, which must be there.
Every command but the first, `jostle --help`, was on a screen before: with words of the reader's own in place of the
screen's, such as a container's name for NAME. With --fresh it is a clone of this repository that is set up first.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

from agent.sandbox.cgroups import Group
from collectors.host.hierarchy import CgroupLayout, detect_layout
from tests.agent.sandbox.foreign import host_mounts, outweigh

ROOT = Path(__file__).parent.parent
PAGE, PICTURE, README = Path("docs/first-hour.md"), Path("docs/review.png"), Path("README.md")
PICTURE_SIZE = (1120, 1000)  # the answer, why, and the trials
EXCERPT = re.compile(r"(<!-- screen, (\d+) lines: (.*) -->\n)```console\n(?:(?!```).*\n)*```\n")
"""Where README shows the beginning of a screen."""
INSIDE = "JOSTLE_FIRST_HOUR"
"""Set where it runs with file systems of its own below OWN_PLACES, so that the host's are left alone."""
OWN_PLACES = (Path("/var/lib/docker"), Path("/var/lib/jostle"))
COLUMNS = 80
MOST_LINES = 40
QUIET_WINDOWS, BUSY_S = 10, 4.0  # six windows are what the agent learns from
LONG_S = 900.0  # to give up after
CPU = max(os.sched_getaffinity(0))
PINNED = f"#!/bin/sh\ntaskset -cp {CPU} $$ > /dev/null\n"
SCRIPTS = {
    "bench": f"{PINNED}i=0\nwhile [ $i -lt 200000 ]; do i=$((i+1)); done\n",
    "batch": f"{PINNED}while :; do :; done\n",
}
WEB = "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.01; done"
BATCH = "while :; do :; done & while :; do :; done"
AGENT = "agent.window_s = 1\nmetrics.enabled = false\n"

INTRODUCTION = """\
# The first hour

Five questions of a new user, each answered by reading only what the screen says. Made by
`python -m tests.first_hour --fresh` ({machine}); `make test-first-hour` does it all again and compares.
The benchmark, the batch job and the containers are shell loops on one CPU; the cgroups and names of `web`
and `batch` are laid out as Docker does. Of more than {lines} lines the middle is left out here.

"""


@dataclass(frozen=True)
class Question:
    """What somebody wants to know, in how many seconds, and what the last screen of the answer has to say."""

    title: str
    limit_s: float
    says: str
    """A pattern, in words with one space between them."""


QUESTIONS = (
    Question(
        "Is my benchmark slowed, and by whom?",
        120,
        r"INTERFERENCE: .* slower .* behind neighbour-1 batch",
    ),
    Question("Which container hurts `web` right now?", 60, r"BLAME: web waited .* for batch \d"),
    Question("What happened at that time?", 120, r"BLAME: web waited .* for batch \d"),
    Question("A page for the review", 120, r"^Written: review.html"),
    Question("What would help?", 180, r"try: a CPU quota for the neighbours; measured: .* at 5 %"),
)


@dataclass(frozen=True)
class Screen:
    """One command, what it printed, and how long it took."""

    command: str
    text: str
    seconds: float


@dataclass
class Session:
    """A person at a terminal of 80 columns."""

    directory: Path
    jostle: Path
    group: Group
    screens: list[Screen] = field(default_factory=list)

    def type(self, command: str) -> Screen:
        """Run a command, which must have been on a screen before."""
        if not was_offered(command, [screen.text for screen in self.screens]):
            raise AssertionError(f"no screen said: {command}")
        begun_s = time.monotonic()
        with self._started(command) as process, outweighing(process.pid):
            out, _ = process.communicate(timeout=LONG_S)
        screen = Screen(command, out, time.monotonic() - begun_s)
        if process.returncode:
            raise AssertionError(f"{command}: exit code {process.returncode}\n{out}")
        self.screens.append(screen)
        return screen

    def _started(self, command: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "PATH": f"{self.jostle.parent}:{os.environ['PATH']}",
            "COLUMNS": str(COLUMNS),
        }
        join = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in self.group.directories)
        return subprocess.Popen(
            ["sh", "-c", f"{join} && exec {command}"],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextlib.contextmanager
def logged_in(directory: Path, jostle: Path) -> Iterator[Session]:
    """A person whose session has a cgroup of its own. It outweighs others, as all does that runs here."""
    name = f"jtest-session-{os.getpid()}"
    group = Group(f"/{name}", tuple(mount / name for mount in host_mounts(detect_layout())))
    try:
        for each in group.directories:
            each.mkdir()
        outweigh(*group.directories)
        yield Session(directory, jostle, group)
    finally:
        group.remove()


def was_offered(command: str, screens: list[str]) -> bool:
    """Whether a command was on a screen, however its lines were broken, and with whatever name and time."""
    if not screens:
        return command == "jostle --help"
    wanted = re.sub(r"(--since|--at) \S+", r"\1 TIME", command.replace(" web", " NAME")).split()
    seen = re.sub(r"(--since|--at)\s+\S+", r"\1 TIME", "\n".join(screens)).split()
    return any(seen[at : at + len(wanted)] == wanted for at in range(len(seen)))


@contextlib.contextmanager
def outweighing(pid: int) -> Iterator[None]:
    """Others on this machine get 1 % beside what the jostle of this pid runs: who is found does not depend on them."""
    mounts, ended = host_mounts(detect_layout()), Event()

    def watch() -> None:
        while not ended.wait(0.005):
            for mount in mounts:
                with contextlib.suppress(OSError):
                    outweigh(*mount.glob(f"jostle-{pid}-*"))

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def container(layout: CgroupLayout, name: str, script: str) -> Iterator[None]:
    """A shell as Docker would run it: its cgroup, and the file that has its name."""
    number = secrets.token_hex(32)
    group = Group(f"/docker/{number}", tuple(mount / "docker" / number for mount in host_mounts(layout)))
    state = OWN_PLACES[0] / "containers" / number
    state.mkdir(parents=True)
    (state / "config.v2.json").write_text(
        json.dumps({"ID": number, "Name": f"/{name}", "Config": {"Labels": {}}})
    )
    for directory in group.directories:
        directory.mkdir(parents=True)
        outweigh(directory.parent)
    process = subprocess.Popen(
        ["taskset", "-c", str(CPU), "sh", "-c", f"read _; {script}"], stdin=subprocess.PIPE
    )
    try:
        group.add(process.pid)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        yield
    finally:
        group.stop()
        process.wait()
        group.remove()
        for directory in group.directories:
            with contextlib.suppress(OSError):  # another container is in it
                directory.parent.rmdir()


@contextlib.contextmanager
def agent(session: Session) -> Iterator[None]:
    """The daemon with windows of a second, as it is to learn in some what is usual."""
    config = session.directory / "jostle.toml"
    config.write_text(AGENT)
    with (session.directory / "journal").open("w") as journal:
        process = subprocess.Popen(
            [session.jostle, "agent", "--config", str(config)], stdout=journal, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=LONG_S)


def a_bench(session: Session) -> Iterator[list[Screen]]:
    """Questions 1, 4 and 5: a benchmark, a batch job, and a page about them."""
    for name, text in SCRIPTS.items():
        script = session.directory / name
        script.write_text(text)
        script.chmod(0o755)
    first = session.type("jostle experiment --victim ./bench --neighbour ./batch")
    yield [first]
    directory = found(r"jostle report (\S+)", first.text)
    yield [session.type(f"jostle report {directory} -f html -o review.html")]
    yield [session.type(found(r"(jostle experiment .* --sweep \S+)", first.text))]


def a_node(session: Session) -> Iterator[list[Screen]]:
    """Questions 2 and 3: two containers on one CPU, and the agent, who saw one of them come and go."""
    layout = detect_layout()
    with container(layout, "web", WEB), agent(session):
        history = OWN_PLACES[1] / "history.db"
        until(lambda: windows_in(history) >= QUIET_WINDOWS, "the agent writes its history")
        with container(layout, "batch", BATCH):
            time.sleep(BUSY_S)
            seen = [session.type("jostle")]
            moment = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  the clock on the wall
            yield [*seen, session.type("jostle blame web")]
            busy = windows_in(history)
            until(lambda: windows_in(history) > busy, "the agent writes what it saw")
        since = f"{moment[:5]}:00"
        seen = [session.type(f"jostle report --history --since {since}")]
        yield [*seen, session.type(f"jostle blame web --at {moment}")]


def windows_in(history: Path) -> int:
    """How many windows the agent has written."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{history}?mode=ro", uri=True)) as db,
    ):
        return int(db.execute("SELECT count(*) FROM windows").fetchone()[0])
    return 0


def found(pattern: str, text: str) -> str:
    """What a person copies from a screen, though its lines were broken."""
    match = re.search(pattern, " ".join(text.split()))
    assert match is not None, f"no {pattern} in {text}"
    return match[1]


def until(true: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)


def photograph(page: Path, picture: Path) -> None:
    """What a browser shows of a page before one scrolls."""
    size = "--window-size={},{}".format(*PICTURE_SIZE)
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={page.parent / 'browser'}",
        size,
    ]
    subprocess.run(
        ["chromium", *options, f"--screenshot={picture}", page.as_uri()],
        check=True,
        timeout=LONG_S,
        stderr=subprocess.DEVNULL,
    )


def hour(jostle: Path, picture: Path) -> dict[str, list[Screen]]:
    """The transcripts of all questions by their titles; before them the screen that everybody sees first."""
    with tempfile.TemporaryDirectory() as directory, logged_in(Path(directory), jostle) as session:
        begin = [session.type(command) for command in ("jostle --help", "jostle doctor")]
        bench, node = a_bench(session), a_node(session)
        first, page, helps = bench
        now, then = node
        assert (session.directory / "review.html").read_text().count("neighbour-1 batch")
        photograph(session.directory / "review.html", picture)
    answers = (first, now, then, page, helps)
    return {"": begin, **{each.title: screens for each, screens in zip(QUESTIONS, answers, strict=True)}}


def written(hour_: Mapping[str, list[Screen]], setup_s: float | None) -> Iterator[str]:
    """The page."""
    machine = f"{os.cpu_count()} CPUs, Linux {os.uname().release}, load {os.getloadavg()[0]:.0f}"
    yield INTRODUCTION.format(machine=machine, lines=MOST_LINES)
    if setup_s is not None:
        yield f"    git clone … && make setup-runtime    # {setup_s:.0f} s; Debian's packages were there\n"
        yield "    export PATH=$PWD/.venv/bin:$PATH     # or `make install`, for the whole machine\n\n"
    yield from map(transcript, hour_[""])
    for number, question in enumerate(QUESTIONS, 1):
        screens = hour_[question.title]
        took_s = sum(screen.seconds for screen in screens)
        yield f"\n## {number}. {question.title}\n\n{took_s:.0f} s of {question.limit_s:.0f}.\n\n"
        yield from map(transcript, screens)


def transcript(screen: Screen) -> str:
    lines = screen.text.rstrip().splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], "…", *lines[-MOST_LINES // 4 :]]
    return "```console\n" + "\n".join([f"$ {screen.command}", *lines]) + "\n```\n"


def with_excerpts(text: str, screens: Mapping[str, str]) -> str:
    """README with the beginnings of these screens, by their commands."""

    def excerpt(place: re.Match[str]) -> str:
        lines = screens[place[3]].rstrip().splitlines()
        shown = [*lines[: int(place[2])], *(["…"] if len(lines) > int(place[2]) else [])]
        return "\n".join([f"{place[1]}```console", f"$ {place[3]}", *shown, "```\n"])

    return EXCERPT.sub(excerpt, text)


def fresh_clone(directory: Path) -> tuple[Path, float]:
    """A clone that is set up: its jostle, and how long that took."""
    begun_s = time.monotonic()
    clone = directory / "jostle"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    subprocess.run(["make", "-s", "-C", str(clone), "setup-runtime"], check=True, stdout=subprocess.DEVNULL)
    return clone / ".venv/bin/jostle", time.monotonic() - begun_s


def in_places_of_its_own(words: list[str]) -> int:
    """This program again, in a mount namespace in which OWN_PLACES are empty, root's alone, and go with it."""
    made = [place for place in OWN_PLACES if not place.exists()]
    for place in made:
        place.mkdir(parents=True)
    mounts = " && ".join(f"mount -t tmpfs -o mode=755 none {place}" for place in OWN_PLACES)
    again = shlex.join([sys.executable, "-m", "tests.first_hour", *words])
    try:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{mounts} && exec {again}"],
            check=False,
            cwd=ROOT,
            env={**os.environ, INSIDE: "1"},
        ).returncode
    finally:
        for place in made:
            place.rmdir()


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fresh", action="store_true", help="set up a fresh clone first")
    parser.add_argument("directory", type=Path, nargs="?", default=ROOT)
    options = parser.parse_args(words)
    if INSIDE not in os.environ:
        return in_places_of_its_own(words)
    with tempfile.TemporaryDirectory() as directory:
        jostle, setup_s = (
            Path(shutil.which("jostle", path=str(Path(sys.executable).parent)) or "jostle"),
            None,
        )
        if options.fresh:
            jostle, setup_s = fresh_clone(Path(directory))
        lived = hour(jostle, options.directory / PICTURE)
    (options.directory / PAGE).write_text("".join(written(lived, setup_s)))
    readme = options.directory / README
    screens = {screen.command: screen.text for each in lived.values() for screen in each}
    readme.write_text(with_excerpts(readme.read_text(), screens))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
