"""Engines that answer: each has the tables as views, takes the SQL that Ibis compiles for it, and gives back rows."""

import errno
import gc
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.fleet.place import missing_extra
from agent.fleet.schema import TABLES, Type
from probes.errors import JostleError, UsageError

Files = Mapping[str, Sequence[str]]
Answer = list[dict[str, Any]]
Ask = Callable[[Any], Answer]
"""Answers an Ibis expression over unbound tables."""

_NO_ROOM = os.strerror(errno.ENOSPC)
_MEMORY, _CLICKHOUSE = "3GB", {"string": "String", "int64": "Int64", "float64": "Float64"}
_EXTENSIONS = (
    "autoinstall_known_extensions",
    "autoload_known_extensions",
    "allow_community_extensions",
)
_DUCKDB: Mapping[Type, str] = {"string": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE"}
_SPARK: Mapping[Type, str] = {"string": "string", "int64": "bigint", "float64": "double"}


@contextmanager
def duckdb_engine(files: Files, scratch: Path, memory: str = _MEMORY) -> Iterator[Ask]:
    """DuckDB in this process; what does not fit into `memory` goes to files in `scratch`."""
    db = duckdb_connection(scratch, memory)
    import ibis

    with explained():
        for table, paths in files.items():
            db.execute(f"CREATE VIEW {table} AS {duckdb_rows(table, paths)}")

    def ask(expression: Any) -> Answer:  # noqa: ANN401
        with explained():
            cursor = db.execute(ibis.to_sql(expression, dialect="duckdb"))
            return _named([column[0] for column in cursor.description], cursor.fetchall())

    with closing(db):
        yield ask


@contextmanager
def explained() -> Iterator[None]:
    """DuckDB's errors as ours.

    Raises:
        JostleError: It has too little memory or room.
        UsageError: A file cannot be read.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise JostleError(
            f"DuckDB has too little memory ({_first_line(error)})",
            "ask of less, or let TMPDIR name a directory with more room",
        ) from error
    except (duckdb.Error, UnicodeDecodeError) as error:
        if _NO_ROOM in str(error):  # a disk that fills meanwhile; of one that is full before, it knows
            raise JostleError(
                f"there is no room for what does not fit into memory ({_first_line(error)})",
                "let TMPDIR name a directory with more room",
            ) from error
        raise UsageError(
            f"the dataset cannot be read ({_first_line(error)})", "is a file of it damaged? move it away"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def duckdb_connection(scratch: Path, memory: str) -> Any:  # noqa: ANN401  DuckDB's types are not followed
    """An empty database that goes to files in `scratch` for what does not fit into `memory`.

    Raises:
        HostError: A package is not installed.
    """
    try:
        import duckdb
        import ibis  # noqa: F401  without it there is nothing to ask
    except ImportError as error:
        raise missing_extra("ibis-framework or duckdb") from error
    found = {"memory_limit": memory, "temp_directory": str(scratch)}
    # What a dataset asks for that is not built in, it does not get: extensions are programs of others.
    return duckdb.connect(config=found | dict.fromkeys(_EXTENSIONS, "false"))


def duckdb_rows(table: str, paths: Sequence[str], *, alike: bool = False) -> str:
    """SQL for the rows of these files; a column that an older file lacks is null.

    Args:
        table: Whose files they are.
        paths: Theirs.
        alike: Read no file before its turn: half the time, but DuckDB raises an error where one lacks a column.
    """
    fields = TABLES[table]
    columns = ", ".join(field.name for field in fields)
    nothing = ", ".join(f"NULL::{_DUCKDB[field.type]} AS {field.name}" for field in fields)
    if not paths:
        return f"SELECT {nothing} WHERE false"
    listed = ", ".join(f"'{quoted(path)}'" for path in paths)
    read = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = {not alike})"
    if alike:
        return f"SELECT {columns} FROM {read}"  # noqa: S608  quoted
    # What all of them lack, `union_by_name` does not know.
    return f"SELECT {columns} FROM (SELECT {nothing} WHERE false UNION ALL BY NAME SELECT * FROM {read})"  # noqa: S608  quoted


def quoted(text: str) -> str:
    """Between single quotes of SQL."""
    return text.replace("'", "''")


def escaped(text: str) -> str:
    """Between single quotes of ClickHouse, to whom a backslash says something as well."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def clickhouse_engine(files: Files, scratch: Path) -> Iterator[Ask]:
    """ClickHouse's engine in this process, by chdb."""
    try:
        import ibis
        from chdb.session import Session
    except ImportError as error:
        raise missing_extra("chdb") from error
    session = Session(str(scratch / "chdb"))
    session.query("CREATE DATABASE IF NOT EXISTS fleet")
    for table, paths in files.items():
        columns = ", ".join(f"{field.name} Nullable({_CLICKHOUSE[field.type]})" for field in TABLES[table])
        session.query(
            f"CREATE OR REPLACE TABLE fleet.{table} ({columns}) ENGINE = MergeTree ORDER BY tuple()"
        )
        for path in paths:
            session.query(
                f"INSERT INTO fleet.{table} SELECT * FROM file('{escaped(path)}', 'Parquet', '{columns}')"  # noqa: S608  quoted
            )

    def ask(expression: Any) -> Answer:  # noqa: ANN401
        session.query("USE fleet")
        text = str(
            session.query(
                f"{ibis.to_sql(expression, dialect='clickhouse')} SETTINGS join_use_nulls = 1, "
                "output_format_json_quote_64bit_integers = 0",
                "JSONCompact",
            )
        )
        found = json.loads(text)
        return _named([column["name"] for column in found["meta"]], found["data"])

    with closing(session):
        yield ask


@contextmanager
def spark_engine(files: Files, scratch: Path) -> Iterator[Ask]:
    """Spark: the master in SPARK_MASTER, else one within this process. It must see the files by their paths."""
    try:
        import ibis
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise missing_extra("pyspark") from error
    builder = SparkSession.builder.appName("jostle fleet").master(os.environ.get("SPARK_MASTER", "local[*]"))
    session = (
        builder.config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.parquet.enableVectorizedReader", "false")  # it knows no BYTE_STREAM_SPLIT
        .config("spark.local.dir", str(scratch))
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .getOrCreate()
    )
    compiler = ibis.pyspark.connect(session)  # its SQL depends on options that are the session's
    for table, paths in files.items():
        schema = ", ".join(f"`{field.name}` {_SPARK[field.type]}" for field in TABLES[table])
        rows = session.read.schema(schema).parquet(*paths) if paths else session.createDataFrame([], schema)
        rows.createOrReplaceTempView(table)

    def ask(expression: Any) -> Answer:  # noqa: ANN401
        found = session.sql(compiler.compile(expression))
        with warnings.catch_warnings():
            # pyspark leaves the socket that a result came by to the garbage collector: it is closed here.
            warnings.simplefilter("ignore", ResourceWarning)
            rows = [tuple(row) for row in found.collect()]
            gc.collect()
        return _named(found.columns, rows)

    try:
        yield ask
    finally:
        _end_spark(session)


def _end_spark(session: Any) -> None:  # noqa: ANN401
    """End the session and the driver's JVM, which pyspark would keep until Python ends."""
    from pyspark import SparkContext

    gateway = session.sparkContext._gateway  # noqa: SLF001  pyspark has no other way to end it
    session.stop()
    gateway.shutdown()
    if gateway.proc is not None:  # it was started here, and ends when its input does
        gateway.proc.stdin.close()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001  so that the next session starts another


def _named(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Answer:
    return [dict(zip(names, map(_plain, row), strict=True)) for row in rows]


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Unavailable is None, also where an engine says so by NaN; what it has as a decimal number is a float."""
    value = float(value) if isinstance(value, Decimal) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


ENGINES: Mapping[str, Callable[[Files, Path], AbstractContextManager[Ask]]] = {
    "duckdb": duckdb_engine,
    "clickhouse": clickhouse_engine,
    "spark": spark_engine,
}
