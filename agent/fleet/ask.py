"""A question, or all of them, put to a dataset: from its files to a document."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.documents.fleet import FleetAnswer, FleetAnswers, FleetCoverage
from agent.documents.times import moment
from agent.fleet.dataset import files, local
from agent.fleet.engines import ENGINES, Ask
from agent.fleet.place import Place
from agent.fleet.schema import HOUR_S
from probes.errors import UsageError

if TYPE_CHECKING:
    from agent.fleet.questions import Options, Tables

REVIEW = ("aggressors", "knee", "moves")
"""Whose sentences are a review's first three."""
ALL = (
    *("aggressors", "victims", "slower", "knee", "moves", "above", "limits", "change", "weeks", "incidents"),
    "coverage",
)


_WHOLE = ("knee",)  # a curve, of which no part is left out


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask, of which rows, and how.

    Attributes:
        questions: Names of `questions.QUESTIONS`.
        engine: One of `engines.ENGINES`.
        conditions: As `questions.where` takes them.
        since_s: Begin, seconds since the epoch; None: of all there is.
        until_s: End.
        limit: How many rows of each answer.
        objective_ms: See `questions.Options`; so are the next two.
        cpu_hour_cost: In any currency.
        by: Of question 8.
        cache: Where an object store's files are copied to; None: a directory that is removed again.
        command: The words that ask this again.
    """

    questions: Sequence[str]
    engine: str = "duckdb"
    conditions: Sequence[str] = ()
    since_s: float | None = None
    until_s: float | None = None
    limit: int = 20
    objective_ms: float = 10.0
    cpu_hour_cost: float = 0.04
    by: str | float = "kernel"
    cache: Path | None = None
    command: Sequence[str] = ()


def ask(place: Place, asked: Asked) -> FleetAnswers:
    """The answers.

    Raises:
        UsageError: There is no such question or engine; a condition cannot be; the dataset holds nothing of it.
        HostError: The engine is not installed.
        JostleError: The engine cannot answer.
    """
    if unknown := [each for each in asked.questions if each not in ALL]:
        raise UsageError(
            f"there is no question {unknown[0]!r}", f"ask one of {', '.join(ALL)}, or for a review"
        )
    with tempfile.TemporaryDirectory(prefix="jostle-fleet-") as scratch:
        wanted = files(place, asked.since_s, asked.until_s)
        paths = local(place, wanted, asked.cache or Path(scratch) / "files")
        with ENGINES[asked.engine](paths, Path(scratch)) as engine:
            return _answers(engine, asked, sum(map(len, wanted.values())))


def _answers(engine: Ask, asked: Asked, count: int) -> FleetAnswers:
    from agent.fleet import questions

    options = questions.Options(asked.objective_ms, asked.cpu_hour_cost, asked.by)
    selected = questions.where(questions.tables(), asked.conditions, asked.since_s, asked.until_s)
    hosts = engine(
        selected.hosts.group_by("host").agg(
            first_s=selected.hosts.time_s.min(),
            last_s=selected.hosts.time_s.max(),
            ns=selected.hosts.duration_ns.cast("float64").sum(),
            lost=selected.hosts.lost_windows.sum().cast("int64"),
        )
    )
    if not hosts:
        raise UsageError("no host meets these conditions", "leave out one --where, or give another --since")
    coverage = FleetCoverage(
        since=moment(min(row["first_s"] for row in hosts)),
        until=moment(max(row["last_s"] for row in hosts) + HOUR_S),
        hosts=len(hosts),
        host_hours=sum(row["ns"] for row in hosts) / 3.6e12,
        lost_windows=sum(row["lost"] for row in hosts),
        files=count,
    )
    answers = tuple(_answer(engine, name, selected, options, asked.limit) for name in asked.questions)
    said = {answer.question: answer.sentence for answer in answers}
    return FleetAnswers(
        answers=answers,
        coverage=coverage,
        conditions=tuple(asked.conditions),
        objective_ms=asked.objective_ms,
        engine=asked.engine,
        command=tuple(asked.command),
        summary=tuple(said[name] for name in REVIEW) if said.keys() >= set(REVIEW) else (),
    )


def _answer(engine: Ask, name: str, selected: "Tables", options: "Options", limit: int) -> FleetAnswer:
    from agent.fleet.questions import QUESTIONS

    question = QUESTIONS[name]
    expression = question.ask(selected, options)
    rows = engine(expression)
    return FleetAnswer(
        question=name,
        title=question.title,
        sentence=question.say(rows, options) if rows else "Nothing was found.",
        columns=tuple(expression.columns),
        rows=tuple(rows if name in _WHOLE else rows[:limit]),
        rows_in_all=len(rows),
        method=question.method,
    )
