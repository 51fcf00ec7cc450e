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

from requests_iris import IrisSession, ListError

ASSETS = "/api/asset/v1/assets"
#: Items per transaction. A killed run reads at most this number of items again.
BATCH = 1000
TABLES = """
    CREATE TABLE IF NOT EXISTS assets (asset TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS new_assets (asset TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS resume_points (list TEXT PRIMARY KEY, resume TEXT NOT NULL);
"""


def export(iris: IrisSession, path: str, batch: int = BATCH) -> None:
    """Reads the whole list into the table ``assets``.

    Each transaction saves the items and the resume point after these items, both or neither.
    Therefore the next run repeats no item and skips no item. The items wait in ``new_assets``: the
    last whole list stays in ``assets`` until the new list is whole.
    """
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TABLES)
        walk = iris.items(ASSETS, resume=saved_resume(db))
        try:
            while items := list(islice(walk, batch)):
                rows = [(json.dumps(item),) for item in items]
                with db:
                    db.executemany("INSERT INTO new_assets VALUES (?)", rows)
                    db.execute(
                        "INSERT OR REPLACE INTO resume_points VALUES (?, ?)",
                        (ASSETS, json.dumps(walk.resume)),
                    )
        except ListError as error:
            if error.resume is None:  # the list has changed: the next run reads from the beginning
                with db:
                    start_over(db)
            raise
        with db:
            db.execute("DELETE FROM assets")
            db.execute("INSERT INTO assets SELECT * FROM new_assets")
            start_over(db)


def start_over(db: sqlite3.Connection) -> None:
    """Lets the next run read the list from the beginning."""
    db.execute("DELETE FROM new_assets")
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
