"""Exports all assets into an SQLite database. A killed run continues where the run stopped.

    pip install requests-iris
    python examples/sqlite_export.py fleet.db

Credentials come from the TRACKUNIT_* variables.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from itertools import islice
from typing import Any

from requests_iris import IrisSession

ASSETS = "/api/asset/v1/assets"
#: Items per transaction. A killed run reads at most this number of items again.
BATCH = 1000
TABLES = """
    CREATE TABLE IF NOT EXISTS assets (asset TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS resume_points (list TEXT PRIMARY KEY, resume TEXT NOT NULL);
"""


def export(iris: IrisSession, path: str, batch: int = BATCH) -> None:
    """Reads the whole list into the table ``assets``.

    Each transaction saves the items and the resume point after these items, both or neither.
    Therefore the next run repeats no item and skips no item.
    """
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TABLES)
        walk = iris.items(ASSETS, resume=saved_resume(db))
        if walk.resume is None:  # a new export replaces the last export, with the first commit
            db.execute("DELETE FROM assets")
        while items := list(islice(walk, batch)):
            with db:
                db.executemany("INSERT INTO assets VALUES (?)", [(json.dumps(i),) for i in items])
                db.execute(
                    "INSERT OR REPLACE INTO resume_points VALUES (?, ?)",
                    (ASSETS, json.dumps(walk.resume)),
                )
        with db:  # the list was read whole: the next run starts from the beginning
            db.execute("DELETE FROM resume_points WHERE list = ?", (ASSETS,))


def saved_resume(db: sqlite3.Connection) -> Any:
    """The resume point of a run that stopped early, or None."""
    query = "SELECT resume FROM resume_points WHERE list = ?"
    row = db.execute(query, (ASSETS,)).fetchone()
    return None if row is None else json.loads(row[0])


def main(path: str) -> None:
    with IrisSession() as iris:
        export(iris, path)


if __name__ == "__main__":
    main(sys.argv[1])
