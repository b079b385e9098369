"""The tables of run files and histories: counters and histograms, never percentiles. One schema, version 1.

Nothing is released yet, so a change of the tables changes version 1, and a file of any other version is refused. The
first migration is written after the first release.
"""

import sqlite3

from collectors.windows.figures import (
    CGROUP_FIGURES,
    HOST_PRESSURE,
    SCHED_FIGURES,
    CacheSignals,
    CgroupFigures,
    CpuSignals,
    FigureSpec,
    Unit,
    specs,
)
from probes.errors import UsageError

SCHEMA = "jostle.run/1"

COUNTERS = tuple(spec.name for spec in SCHED_FIGURES)
WORKLOAD = (
    *("kind", "name", "inner", "systemd_unit", "container_id", "runtime"),
    *("pod_uid", "pod_name", "namespace", "container_name", "qos_class"),
)

PER_WINDOW = (
    *("sched", "cpus", "events"),
    *("signals", "cpu_signals", "host_signals", "cache_signals", "counters", "missing", "coruns"),
)
"""The tables whose rows belong to one window, by a column `window`: they go when their window does."""


def _columns(record: type) -> str:
    return ", ".join(map(_column, specs(record)))


def _column(spec: FigureSpec) -> str:
    """A limit of CPUs is a fraction, all else is counted in whole numbers."""
    return f"{spec.name} {'REAL' if spec.unit is Unit.CPUS else 'INTEGER'}"


_WINDOW = "window INTEGER NOT NULL REFERENCES windows"

# A history holds many recordings, one for each start of the agent, each with facts of its own; a run file has
# recording 1 alone. A cgroup's name may go when its last window is long gone.
#
# Whom a cgroup waited for, and its histogram, are numbers of few bytes in a blob (codec.py): as rows of their own they
# were two thirds of a history's bytes.
_SCHED = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (
    recording INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (recording, key)
) WITHOUT ROWID;
CREATE TABLE cgroups (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, last_window INTEGER NOT NULL);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY, end_utc_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL,
    untracked INTEGER NOT NULL, impossible INTEGER NOT NULL, shed TEXT NOT NULL, recording INTEGER NOT NULL
);
CREATE TABLE sched (
    {_WINDOW}, cgroup INTEGER NOT NULL REFERENCES cgroups,
    {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTERS)},
    histogram BLOB NOT NULL, waited_for BLOB NOT NULL, PRIMARY KEY (window, cgroup)
) WITHOUT ROWID;
CREATE TABLE cpus (
    {_WINDOW}, cpu INTEGER NOT NULL, running REAL NOT NULL, waiting REAL NOT NULL, switches INTEGER NOT NULL,
    PRIMARY KEY (window, cpu)
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, {_WINDOW}, utc_ns INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX events_by_window ON events (window);
"""

# What kernel files and counters say beside the scheduler: see collectors/windows/signals.py. NULL: there is no
# figure, and `missing` says why.
_SIGNALS = f"""
CREATE TABLE signals (
    {_WINDOW}, cgroup INTEGER NOT NULL REFERENCES cgroups,
    {_columns(CgroupFigures)}, PRIMARY KEY (window, cgroup)
) WITHOUT ROWID;
CREATE TABLE cpu_signals (
    {_WINDOW}, cpu INTEGER NOT NULL, {_columns(CpuSignals)}, PRIMARY KEY (window, cpu)
) WITHOUT ROWID;
CREATE TABLE host_signals (
    window INTEGER PRIMARY KEY REFERENCES windows, {", ".join(f"{name} INTEGER" for name in HOST_PRESSURE)}
);
CREATE TABLE cache_signals (
    {_WINDOW}, resctrl_group TEXT NOT NULL, domain INTEGER NOT NULL,
    {_columns(CacheSignals)}, PRIMARY KEY (window, resctrl_group, domain)
) WITHOUT ROWID;
CREATE TABLE counters (
    {_WINDOW}, cgroup INTEGER NOT NULL REFERENCES cgroups, event TEXT NOT NULL,
    value INTEGER NOT NULL, enabled_ns INTEGER NOT NULL, running_ns INTEGER NOT NULL,
    PRIMARY KEY (window, cgroup, event)
) WITHOUT ROWID;
CREATE TABLE reasons (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, remedy TEXT NOT NULL, UNIQUE (reason, remedy)
);
CREATE TABLE missing (
    {_WINDOW}, figure TEXT NOT NULL, reason INTEGER NOT NULL REFERENCES reasons, figures INTEGER NOT NULL,
    PRIMARY KEY (window, figure)
) WITHOUT ROWID;
CREATE INDEX missing_by_reason ON missing (reason);
CREATE TABLE workloads (
    cgroup INTEGER PRIMARY KEY REFERENCES cgroups, kind TEXT NOT NULL, name TEXT NOT NULL, inner TEXT NOT NULL,
    systemd_unit TEXT, container_id TEXT, runtime TEXT, pod_uid TEXT, pod_name TEXT, namespace TEXT,
    container_name TEXT, qos_class TEXT
);
CREATE TABLE coruns (
    {_WINDOW}, victim INTEGER NOT NULL REFERENCES cgroups,
    aggressor INTEGER NOT NULL REFERENCES cgroups, smt_ns INTEGER NOT NULL, llc_ns INTEGER NOT NULL,
    PRIMARY KEY (window, victim, aggressor)
) WITHOUT ROWID;
"""


def holds_tables(db: sqlite3.Connection) -> bool:
    """Whether the tables of this schema are in a file; false for an empty one.

    Raises:
        UsageError: Another version of jostle wrote it, or something else.
    """
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    found = str(row and row[0])[:40]
    if found != SCHEMA:
        raise UsageError(
            f"its schema is {found!r}, this jostle reads {SCHEMA!r} alone", "use the jostle that wrote it"
        )
    return True


def unknown_figures(db: sqlite3.Connection) -> tuple[FigureSpec, ...]:
    """The figures of cgroups that were added to the registry after a file was made: what it holds has none of them.

    To add one is the one change of the tables that needs no other version.
    """
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(signals)")}
    return tuple(spec for spec in CGROUP_FIGURES if spec.name not in columns)


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables in an empty file, in one transaction; in one that has them, the columns of figures it lacks.

    Raises:
        UsageError: See `holds_tables`.
    """
    if holds_tables(db):
        for spec in unknown_figures(db):
            db.execute(f"ALTER TABLE signals ADD COLUMN {_column(spec)}")
        return
    try:
        db.executescript(
            f"BEGIN; {_SCHED} {_SIGNALS} INSERT INTO meta VALUES ('schema', '{SCHEMA}'); COMMIT;"  # noqa: S608  our own
        )
    except BaseException:
        db.rollback()
        raise
