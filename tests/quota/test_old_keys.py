"""A quota store deletes the old keys of a file in small parts."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

from requests_iris.quota import Quota, owner_of
from requests_iris.sandbox import MovableClock

PAGE = "https://iris.trackunit.com/public/api/aemp/v2/15143/-3/Fleet/"
DAY = 24 * 3600
MACHINES = 300


class Exports:
    """Exports with a new page, and so a new key, for each request."""

    def __init__(self, path: Path) -> None:
        self.path, self.quota, self.clock = path, Quota(path), MovableClock()
        self.page = 0

    def send(self) -> None:
        self.page += 1
        url = f"{PAGE}{self.page}"
        self.quota.reserve(owner_of(), "GET", url, clock=self.clock).settle()

    def count(self, table: str) -> int:
        connection = sqlite3.connect(self.path)
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}")
        connection.close()
        return rows


def test_a_request_after_a_night_deletes_only_a_part_of_the_old_keys(tmp_path: Path) -> None:
    """Deleting all keys in a single transaction would write the whole file to the log."""
    exports = Exports(tmp_path / "quota.db")
    for _ in range(MACHINES):
        exports.send()
    assert exports.count("keys") == exports.count("slots") == MACHINES
    exports.clock.advance(DAY)
    counts = [MACHINES]
    for _ in range(100):
        exports.send()
        counts.append(exports.count("keys"))
    deleted = [before + 1 - after for before, after in pairwise(counts)]
    assert sum(deleted) == MACHINES
    assert max(deleted) <= MACHINES / 3
    assert exports.count("keys") == exports.count("slots") == 100
