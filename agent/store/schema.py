"""The tables of run files and histories, counters and histograms, never percentiles, and their version.

A new version is a new step at the end of `_STEPS`, never a change of an earlier one: a file of version N is what
the first N steps make of an empty one.
"""

import sqlite3

from agent.store import repacking
from probes.errors import UsageError

NAME = "jostle.run"

COUNTERS = (
    "run_ns",
    "wait_ns",
    "self_ns",
    "wakeup_ns",
    "throttled_ns",
    "unattributed_ns",
    "preempt_wait_ns",
    "stolen_ns",
    "switches",
    "preempted_own",
    "preempted_foreign",
    "preempted_throttled",
)

HOST_PRESSURE = ("cpu_some_ns", "cpu_full_ns", "memory_some_ns", "memory_full_ns", "io_some_ns", "io_full_ns")
WORKLOAD = (
    *("kind", "name", "inner", "systemd_unit", "container_id", "runtime"),
    *("pod_uid", "pod_name", "namespace", "container_name", "qos_class"),
)

PER_WINDOW = (
    *("sched", "cpus", "events"),
    *("signals", "cpu_signals", "host_signals", "cache_signals", "counters", "missing", "coruns"),
)
"""The tables whose rows belong to one window, by a column `window`: they go when their window does."""

_TABLES_1 = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cgroups (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY, end_utc_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, untracked INTEGER NOT NULL,
    shed TEXT NOT NULL
);
CREATE TABLE sched (
    window INTEGER NOT NULL REFERENCES windows, cgroup INTEGER NOT NULL REFERENCES cgroups,
    {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTERS)}, histogram BLOB NOT NULL,
    PRIMARY KEY (window, cgroup)
) WITHOUT ROWID;
CREATE TABLE waits (
    window INTEGER NOT NULL REFERENCES windows, victim INTEGER NOT NULL REFERENCES cgroups,
    aggressor INTEGER NOT NULL REFERENCES cgroups, wait_ns INTEGER NOT NULL, preemptions INTEGER NOT NULL,
    PRIMARY KEY (window, victim, aggressor)
) WITHOUT ROWID;
CREATE TABLE cpus (
    window INTEGER NOT NULL REFERENCES windows, cpu INTEGER NOT NULL,
    running REAL NOT NULL, waiting REAL NOT NULL, switches INTEGER NOT NULL,
    PRIMARY KEY (window, cpu)
) WITHOUT ROWID;
"""

# A history holds many recordings, one for each start of the agent, each with facts of its own (a run file has
# recording 1 alone), what was detected, and which cgroups are so long gone that their names can go too.
_RECORDINGS_2 = """
CREATE TABLE facts (
    recording INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (recording, key)
) WITHOUT ROWID;
INSERT INTO facts SELECT 1, key, value FROM meta WHERE key <> 'schema';
DELETE FROM meta WHERE key <> 'schema';
ALTER TABLE windows ADD COLUMN recording INTEGER NOT NULL DEFAULT 1;
ALTER TABLE cgroups ADD COLUMN last_window INTEGER NOT NULL DEFAULT 0;
UPDATE cgroups SET last_window = (SELECT ifnull(max(id), 0) FROM windows);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, window INTEGER NOT NULL REFERENCES windows, utc_ns INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX events_by_window ON events (window);
"""

_FIGURES_3 = (
    *("nr_periods", "nr_throttled", "throttled_own_ns", "throttled_ancestors_ns", "throttled_any_ns"),
    *HOST_PRESSURE,
    *("file_refaults", "anon_refaults", "scanned_pages", "reclaimed_pages", "major_faults"),
    *("memory_high_events", "memory_max_events", "oom_kills"),
    *("read_bytes", "written_bytes", "reads", "writes"),
)
_PER_WINDOW_3 = "window INTEGER NOT NULL REFERENCES windows"
# What kernel files and counters say beside the scheduler: see collectors/signal_window.py. NULL: there is no figure,
# and `missing` says why.
_SIGNALS_3 = f"""
CREATE TABLE signals (
    {_PER_WINDOW_3}, cgroup INTEGER NOT NULL REFERENCES cgroups, limit_cpus REAL,
    {", ".join(f"{name} INTEGER" for name in _FIGURES_3)}, PRIMARY KEY (window, cgroup)
) WITHOUT ROWID;
CREATE TABLE cpu_signals (
    {_PER_WINDOW_3}, cpu INTEGER NOT NULL, steal_ns INTEGER, irq_ns INTEGER, softirq_ns INTEGER, frequency_khz INTEGER,
    PRIMARY KEY (window, cpu)
) WITHOUT ROWID;
CREATE TABLE host_signals (
    window INTEGER PRIMARY KEY REFERENCES windows, {", ".join(f"{name} INTEGER" for name in HOST_PRESSURE)}
);
CREATE TABLE cache_signals (
    {_PER_WINDOW_3}, resctrl_group TEXT NOT NULL, domain INTEGER NOT NULL,
    occupancy_bytes INTEGER, total_bytes INTEGER, local_bytes INTEGER, PRIMARY KEY (window, resctrl_group, domain)
) WITHOUT ROWID;
CREATE TABLE counters (
    {_PER_WINDOW_3}, cgroup INTEGER NOT NULL REFERENCES cgroups, event TEXT NOT NULL,
    value INTEGER NOT NULL, enabled_ns INTEGER NOT NULL, running_ns INTEGER NOT NULL,
    PRIMARY KEY (window, cgroup, event)
) WITHOUT ROWID;
CREATE TABLE reasons (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, remedy TEXT NOT NULL, UNIQUE (reason, remedy)
);
CREATE TABLE missing (
    {_PER_WINDOW_3}, figure TEXT NOT NULL, reason INTEGER NOT NULL REFERENCES reasons, figures INTEGER NOT NULL,
    PRIMARY KEY (window, figure)
) WITHOUT ROWID;
CREATE INDEX missing_by_reason ON missing (reason);
CREATE TABLE workloads (
    cgroup INTEGER PRIMARY KEY REFERENCES cgroups, kind TEXT NOT NULL, name TEXT NOT NULL, inner TEXT NOT NULL,
    systemd_unit TEXT, container_id TEXT, runtime TEXT, pod_uid TEXT, pod_name TEXT, namespace TEXT,
    container_name TEXT, qos_class TEXT
);
"""

# Who ran at the same time on CPUs that share a core or a cache: collectors/corun.py.
_CORUNS_4 = """
CREATE TABLE coruns (
    window INTEGER NOT NULL REFERENCES windows, victim INTEGER NOT NULL REFERENCES cgroups,
    aggressor INTEGER NOT NULL REFERENCES cgroups, smt_ns INTEGER NOT NULL, llc_ns INTEGER NOT NULL,
    PRIMARY KEY (window, victim, aggressor)
) WITHOUT ROWID;
"""

# Two thirds of a history's bytes were whom each cgroup waited for, 20 a row, and histograms of 9 bytes a bucket: both
# are numbers of few bytes in a blob of the cgroup's row. codec.py reads them, repacking.py has these functions.
_PACKED_5 = """
ALTER TABLE sched ADD COLUMN waited_for BLOB NOT NULL DEFAULT x'';
UPDATE sched SET histogram = repacked_histogram(histogram), waited_for = ifnull((
    SELECT packed_waits(aggressor, wait_ns, preemptions) FROM waits
    WHERE waits.window = sched.window AND victim = cgroup
), x'');
DROP TABLE waits;
"""

# How much of a wait was shared out by sampled moments. NULL: recorded before that was counted.
_SAMPLED_6 = "ALTER TABLE sched ADD COLUMN sampled_ns INTEGER;"

_STEPS = (_TABLES_1, _RECORDINGS_2, _SIGNALS_3, _CORUNS_4, _PACKED_5, _SAMPLED_6)
VERSION = len(_STEPS)


def version_of(db: sqlite3.Connection) -> int:
    """The version of the tables in a file that jostle wrote; 0 for an empty one.

    Raises:
        UsageError: Written by a later jostle, or by something else.
    """
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return 0
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    name, _, number = str(row[0] if row else None).partition("/")
    if name != NAME or not number.isdecimal() or not int(number):
        raise UsageError(f"its schema is {str(row and row[0])[:40]!r}", "give a file that jostle wrote")
    if int(number) > VERSION:
        raise UsageError(
            f"its schema is {NAME}/{number}, this jostle reads up to {NAME}/{VERSION}",
            "use the jostle that wrote it, or a later one",
        )
    return int(number)


def migrate(db: sqlite3.Connection) -> None:
    """Bring an empty file, or one of an earlier version, to this version, in one transaction.

    Raises:
        UsageError: See `version_of`.
    """
    found = version_of(db)
    if found == VERSION:
        return
    repacking.provide(db)
    statements = "".join(_STEPS[found:])
    try:
        db.executescript(
            f"BEGIN; {statements} REPLACE INTO meta VALUES ('schema', '{NAME}/{VERSION}'); COMMIT;"  # noqa: S608  our own
        )
    except BaseException:
        db.rollback()
        raise
