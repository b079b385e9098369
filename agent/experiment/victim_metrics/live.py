"""Figures of a victim that runs on, read at the edges of slots.

    prom:URL#COUNTER        a counter of a Prometheus endpoint, as a rate; and the CPU time for each it counts
    prom:URL#HISTOGRAM:mean the mean of what a histogram or a summary observed
    probe-http:URL          how long a GET takes, every 10 ms, in ms from when it was due
    probe:CMD               how long a command takes, every 50 ms, likewise
    tail:FILE#REGEX         the mean of the numbers that are written to a log

Each may have a name before it (`NAME=prom:…`). All are sums over counts, so that slots of any length add up. What one
costs the victim: a scrape, 2 per slot; 100 connections or 20 runs of the command per second; nothing.
"""

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.documents.metric import Metric, Ratio
from agent.experiment.prober import INTERVALS_S, TIMEOUT_S
from agent.experiment.victim_metrics.reader import MetricError
from probes.errors import UsageError
from probes.isolated import python

# Longer, and a neighbour would stand still for it.
SCRAPE_S = 0.25
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LONGEST_PAGE = 8 << 20
_LONGEST_LINES = 1 << 20
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{.*\})?\s+(\S+)", re.MULTILINE | re.ASCII)
_NAME = re.compile(r"(?:([A-Za-z0-9_.-]+)=)?(prom|probe-http|probe|tail):(.*)", re.DOTALL)


class LiveFigure(Protocol):
    """One figure; `mark` is called at each edge, `amount` says what was between two of them."""

    metric: Metric

    def start(self) -> None:
        """Begin to look, where that takes something that runs."""

    def stop(self) -> None:
        """End that."""

    def mark(self) -> tuple[float, ...]:
        """The reading now."""

    def amount(self, begin: tuple[float, ...], end: tuple[float, ...]) -> Ratio:
        """What was between two readings."""


@dataclass(slots=True)
class Scraped:
    """Of a Prometheus endpoint: a counter per second, or with two names the one per unit of the other."""

    metric: Metric
    url: str
    names: tuple[str, ...]

    def start(self) -> None:
        """Read once: an endpoint that does not answer is told before anything is changed."""
        self.mark()

    def stop(self) -> None:
        """Nothing runs."""

    def mark(self) -> tuple[float, ...]:
        """The moment, and the sums over all series of each name."""
        at_s = time.monotonic()
        try:
            with _DIRECT.open(self.url, timeout=SCRAPE_S) as answer:
                text = answer.read(_LONGEST_PAGE).decode("utf-8", "replace")
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise MetricError(
                f"{self.url} did not answer ({why})", f"it is asked for {SCRAPE_S:g} s at most"
            ) from error
        found = [(name, value) for name, value in _SAMPLE.findall(text) if name in self.names]
        try:
            sums = [sum(float(value) for each, value in found if each == name) for name in self.names]
        except ValueError as error:
            raise MetricError(f"{self.url} has no number for {self.names[0]}", "look at the page") from error
        if missing := next((name for name in self.names if name not in {each for each, _ in found}), None):
            raise MetricError(f"{self.url} has no counter {missing}", "name one that it has")
        return (at_s, *sums)

    def amount(self, begin: tuple[float, ...], end: tuple[float, ...]) -> Ratio:
        """How much they grew."""
        at_s, *grown = (b - a for a, b in zip(begin, end, strict=True))
        if any(each < 0 for each in grown):
            raise MetricError(
                f"{self.names[0]} of {self.url} counts backwards", "was its process started anew?"
            )
        return Ratio(grown[0], grown[1] if len(grown) > 1 else at_s)


@dataclass(slots=True)
class Probed:
    """How long answers take that jostle asks for itself."""

    metric: Metric
    kind: str
    target: str
    _process: "subprocess.Popen[bytes] | None" = None
    _rest: bytes = b""
    _began_s: float = 0.0
    _took_s: dict[int, float] = field(default_factory=dict)
    _why: dict[int, str] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to ask, and wait for the first answer."""
        words = python("agent.experiment.prober", self.kind, self.target)
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self._process.stdout:
            os.set_blocking(self._process.stdout.fileno(), False)

    def stop(self) -> None:
        """No more."""
        if self._process:
            self._process.kill()
            self._process.communicate()

    def mark(self) -> tuple[float, ...]:
        """The moment: answers that come later belong to when they were due."""
        self._read()
        return (time.monotonic(),)

    def amount(self, begin: tuple[float, ...], end: tuple[float, ...]) -> Ratio:
        """Milliseconds, and how many requests were due; waits for those that are not answered yet."""
        deadline_s = max(time.monotonic(), end[0]) + 2 * TIMEOUT_S
        while not self._began_s and time.monotonic() < deadline_s:
            self._read()
            time.sleep(0.01)
        first, last = (
            int(-((self._began_s - at_s) // INTERVALS_S[self.kind])) for at_s in (begin[0], end[0])
        )
        due = range(max(0, first), max(0, last))
        while any(number not in self._took_s for number in due):
            if time.monotonic() > deadline_s:
                raise MetricError(f"the probe of {self.target} stands still", "is this host out of memory?")
            time.sleep(0.005)
            self._read()
        failed = [self._why[number] for number in due if number in self._why]
        if len(failed) > len(due) / 2:
            raise MetricError(f"the probe of {self.target} fails: {failed[-1]}", "try it by hand")
        return Ratio(sum(1000 * self._took_s[number] for number in due), len(due))

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        while data := self._process.stdout.read(1 << 16):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                number, _, said = line.decode(errors="replace").partition(" ")
                if not said:
                    self._began_s = float(number)
                    continue
                seconds, _, why = said.partition(" ")
                self._took_s[int(number)] = float(seconds)
                if why:
                    self._why[int(number)] = why


@dataclass(slots=True)
class Tailed:
    """The numbers that a log's new lines hold."""

    metric: Metric
    file: Path
    pattern: re.Pattern[str]
    _descriptor: int = -1
    _rest: str = ""
    _sums: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """From its present end on."""
        try:
            self._descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            raise MetricError(
                f"{self.file} cannot be read ({error.strerror})", "name the victim's log"
            ) from error

    def stop(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def mark(self) -> tuple[float, ...]:
        """The sum of all numbers so far, and how many there were."""
        try:
            if os.stat(self.file).st_ino != os.fstat(self._descriptor).st_ino:  # noqa: PTH116  beside the descriptor's
                self.stop()
                self._descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                os.lseek(self._descriptor, 0, os.SEEK_SET)
            data = os.read(self._descriptor, _LONGEST_LINES)
        except OSError as error:
            raise MetricError(
                f"{self.file} cannot be read any more ({error.strerror})", "is it still there?"
            ) from error
        *lines, self._rest = (self._rest + data.decode("utf-8", "replace"))[-_LONGEST_LINES:].split("\n")
        texts = [found[1] for line in lines if (found := self.pattern.search(line))]
        try:
            values = [float(text) for text in texts]
        except ValueError as error:
            raise MetricError(
                f"{self.file}: the pattern finds what is not a number ({error})", "narrow it"
            ) from error
        self._sums = (self._sums[0] + sum(values), self._sums[1] + len(values))
        return self._sums

    def amount(self, begin: tuple[float, ...], end: tuple[float, ...]) -> Ratio:
        """How much both grew."""
        return Ratio(end[0] - begin[0], end[1] - begin[1])


def parse_live(text: str) -> LiveFigure | None:
    """The figure that a text names; None: it is of another kind.

    Raises:
        UsageError: It lacks something.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    name, kind, rest = found.groups()
    if kind in ("probe", "probe-http"):
        if not rest or (kind == "probe-http" and not rest.startswith(("http://", "https://"))):
            raise UsageError(
                f"--metric {text!r} names nothing to ask", "write probe-http:http://HOST/PATH or probe:CMD"
            )
        return Probed(
            Metric(name or "probe", "ms", "lower"), "http" if kind == "probe-http" else "command", rest
        )
    where, _, what = rest.partition("#")
    if not where or not what or (kind == "prom" and not where.startswith(("http://", "https://"))):
        raise UsageError(
            f"--metric {text!r} lacks a part", "write prom:http://HOST/metrics#COUNTER or tail:FILE#REGEX"
        )
    if kind == "tail":
        return Tailed(Metric(name or "tail", "", "lower"), Path(where), _pattern(text, what))
    counter = what.removesuffix(":mean")
    if what.endswith(":mean"):
        return Scraped(Metric(name or counter, "", "lower"), where, (f"{counter}_sum", f"{counter}_count"))
    return Scraped(Metric(name or what.replace(":", "_"), "1/s", "higher"), where, (what,))


def _pattern(text: str, pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--metric {text!r}: not a regular expression ({error})", "check its backslashes"
        ) from error
    if compiled.groups != 1:
        raise UsageError(
            f"--metric {text!r}: one group must stand around the number", "write (?: ) for others"
        )
    return compiled


def per_unit(figures: Sequence[LiveFigure]) -> Metric | None:
    """The victim's CPU time for each that the first counter counts; None without a counter."""
    counter = next((each for each in figures if each.metric.better == "higher"), None)
    return Metric(f"cpu_ms_per_{counter.metric.name}", "ms", "lower") if counter else None
