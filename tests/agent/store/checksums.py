"""The checksums of a file that somebody has edited, made right again: whoever forges one can do so, too."""

import sqlite3

from agent.store import windows


def rechecked(db: sqlite3.Connection) -> None:
    db.create_function("checksum", -1, lambda *row: windows.checksum(row))
    for table, columns in windows._CHECKED.items():
        if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone():
            db.execute(f"UPDATE {table} SET crc32 = checksum({columns})")  # noqa: S608  our own words
