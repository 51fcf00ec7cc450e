"""An example of a token store. Test your own store with `StoreContract` of requests-iris.

from examples.sqlite_store import SqliteTokenStore

with IrisSession(token_store=SqliteTokenStore("tokens.db")) as iris:
    ...
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


class SqliteTokenStore:
    """Keeps tokens in an SQLite database, for the processes of one machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        Path(path).touch(mode=0o600)  # the file will hold secrets

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:
        """A transaction in a separate database. If the process dies, the transaction ends."""
        with closing(sqlite3.connect(f"{self.path}.{key}", timeout=wait)) as db:
            try:
                db.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                raise TimeoutError("another process holds the lock") from None
            yield

    def load(self, key: str) -> dict[str, Any] | None:
        with closing(self._open()) as db:
            row = db.execute("SELECT token FROM tokens WHERE key = ?", [key]).fetchone()
        return json.loads(row[0]) if row else None

    def save(self, key: str, token: dict[str, Any]) -> None:
        with closing(self._open()) as db, db:
            db.execute("REPLACE INTO tokens VALUES (?, ?)", [key, json.dumps(token)])

    def delete(self, key: str) -> None:
        """Optional: removes a token that only an earlier release of requests-iris could find."""
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM tokens WHERE key = ?", [key])

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path)
        db.execute("CREATE TABLE IF NOT EXISTS tokens (key TEXT PRIMARY KEY, token TEXT)")
        return db
