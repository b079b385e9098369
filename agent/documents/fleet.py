"""What `jostle ship` did, schema `jostle.shipped/1`, and what `jostle fleet` answers, `jostle.fleet-answer/1`."""

from collections.abc import Mapping

from agent.documents.codec import Document, Record

FleetCell = str | int | float | None
"""A figure of a fleet; its name ends in its unit: `_h` CPU-hours, `_pct`, `_ms`, `_s` seconds since the epoch."""


class Shipped(Document, frozen=True):
    """What one call of `jostle ship` wrote, and what it could not."""

    SCHEMA = "jostle.shipped/1"

    hours: int  # of the history, each a file of every table
    windows: int  # of the history that these hold
    rows: Mapping[str, int]  # by table
    bytes: int  # of the files
    lost_windows: int  # gone from the history before they could be shipped
    unshipped_windows: int  # of an hour that is not over


class FleetAnswer(Record, frozen=True):
    """The answer to one question: in a sentence, and as rows, the first first."""

    question: str  # as `jostle fleet` takes it
    title: str  # as a person asks it
    sentence: str  # the answer
    columns: tuple[str, ...]  # of the rows, in their order
    rows: tuple[Mapping[str, FleetCell], ...]  # each by `columns`
    rows_in_all: int  # these are the first of so many
    method: str  # what stands behind the figures


class FleetCoverage(Record, frozen=True):
    """What was asked."""

    since: str  # begin of the first hour, ISO 8601
    until: str  # end of the last
    hosts: int  # that shipped anything of it
    host_hours: float  # of windows
    lost_windows: int  # gone before they could be shipped
    files: int  # that were read


class FleetAnswers(Document, frozen=True):
    """Questions to a fleet, answered."""

    SCHEMA = "jostle.fleet-answer/1"

    answers: tuple[FleetAnswer, ...]
    coverage: FleetCoverage
    conditions: tuple[str, ...]  # as --where has them
    objective_ms: float  # the longest p99 wait that is taken for good
    engine: str  # that answered
    command: tuple[str, ...]  # asks again
    summary: tuple[str, ...] = ()  # of a review: the answer in three sentences
    title: str | None = None
    note: str | None = None
