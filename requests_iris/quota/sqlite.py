"""A quota store in an SQLite file, for the processes of one machine."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .. import forks
from ..stores import StoreError
from .claim import Claim
from .database import Damaged, Database
from .decision import decide
from .store import Answer, Record
from .usage import (
    GRACE,
    HORIZON,
    Block,
    Usage,
    block_of,
    blocked,
    current,
    ends,
    with_slot,
)

Result = TypeVar("Result")

#: Seconds to wait for the threads of the same process.
TURN = 5.0
#: Reservations between two searches for old keys.
SWEEP = 64
#: Old keys that a search deletes. After a night, all keys of a fleet are old. A transaction that
#: deletes all keys would delay a request, and would write the whole file to the log.
SWEPT = 64
#: Seconds for which the slots of a key stay after their end, because a response may come late.
SWEPT_AFTER = 3600.0

# SQLite's own mutexes survive a fork locked. So a lock guards SQLite in the process, and a fork
# waits until no thread is inside SQLite. With a connection for each thread, the threads would queue
# at SQLite's own lock and sleep up to 100 ms between two attempts.
_turn = threading.Lock()
forks.hold(_turn)
_stores: weakref.WeakSet[SqliteQuotaStore] = weakref.WeakSet()


class SqliteQuotaStore:
    """Keeps slots in an SQLite file that only the owner can read.

    The file must be on a local disk. A response is saved together with the next request of the
    same process, or when a session is closed. So a request costs a single transaction. Before, all
    processes count the slot from a minute after the departure.

    - *No file, or a deleted file*: the store counts from 0 in a new file. Missing
      directories are created with mode 0700.
    - *Damage*: the file is renamed to ``….bak`` (then ``….bak1``, up to ``….bak9``), and the store
      counts from 0 in a new file. A file of a different program is renamed too.
    - *A passing error* is raised and changes nothing: a missing permission, a full disk, a lock
      of a different process for longer than 3 seconds. The session then counts in memory.

    Threads may share a store: a lock of the process guards each operation, and the threads use one
    connection. Each process opens its own connection, also after a fork.

    :param path: the path of the file. Nothing is opened before the first request.
    """

    paces = False
    is_prompt = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.fsdecode(path)).expanduser().absolute()
        self._start()

    def _start(self) -> None:
        self._database = Database(self.path)
        self._late: dict[tuple[str, int], float] = {}
        self._until_sweep = 0
        self._failed = float("-inf"), ""
        forks.register(self)
        _stores.add(self)

    def reset_after_fork(self) -> None:
        # the parent saves its own responses
        self._late.clear()
        self._database.leave_to_parent()

    def __reduce__(self) -> tuple[type[SqliteQuotaStore], tuple[str]]:
        return SqliteQuotaStore, (str(self.path),)

    def __repr__(self) -> str:
        return f"SqliteQuotaStore({str(self.path)!r})"

    def reserve(
        self, claims: Sequence[Claim], slot: int, now: float, *, longest: float, draw: bool
    ) -> Answer:
        def work(connection: sqlite3.Connection) -> Answer:
            usages = [_usage(connection, claim, now) for claim in claims]
            decision = decide(claims, usages, now, longest, draw)
            if decision.granted:
                for index, claim in enumerate(claims):
                    pooled = decision.verdicts[index].pooled
                    if claim.counted:
                        usages[index] = _taken(
                            connection, claim, usages[index], slot, decision.stamp, pooled
                        )
                self._sweep(connection, now)
            return decision.answer(claims, usages, now)

        return self._write(work)

    def settle(self, claims: Sequence[Claim], slot: int, now: float) -> None:
        # threads need no lock: each adds its own entries, and CPython changes a dict in one step
        self._late.update({(claim.key, slot): now for claim in claims if claim.counted})

    def give_back(self, claims: Sequence[Claim], slot: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for claim in claims:
                connection.execute(
                    "DELETE FROM slots WHERE key = ? AND slot = ?", (claim.key, slot)
                )

        self._write(work)

    def block(
        self, claims: Sequence[Claim], seconds: Sequence[float], now: float, *, replace: bool
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for claim, lasts in zip(claims, seconds, strict=True):
                usage = _usage(connection, claim, now)
                if replace:
                    connection.execute(
                        "DELETE FROM slots WHERE key = ? AND NOT pooled", (claim.key,)
                    )
                _save(connection, claim, blocked(usage, block_of(lasts, now), anew=replace))

        self._write(work)

    def usages(self, claims: Sequence[Claim], now: float) -> tuple[float, list[Usage]]:
        usages = self._write(
            lambda connection: [_usage(connection, claim, now) for claim in claims]
        )
        return now, usages

    def records(self, owner: str, now: float) -> list[Record]:
        def work(connection: sqlite3.Connection) -> list[Record]:
            rows = connection.execute(
                "SELECT rule, label, key FROM keys WHERE owner = ? AND ends > ?", (owner, now)
            )
            return [Record(*map(_text, row)) for row in rows]

        return self._write(work)

    def flush(self) -> None:
        if self._late:
            self._write(lambda _: None)

    def close(self) -> None:
        """Closes the connection. The next request opens a connection again."""
        with _turn:
            self._database.close()

    def __del__(self) -> None:
        # at once or not at all: the same thread may be in the middle of an operation
        if self._late and _turn.acquire(blocking=False):
            try:
                with suppress(Exception):
                    self._transaction(lambda _: None)
            finally:
                _turn.release()

    def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Does `work` in a transaction, and saves the responses that wait.

        :raises StoreError: if the file cannot be used now.
        """
        began = time.monotonic()
        if not _turn.acquire(timeout=TURN):
            raise StoreError(f"{self.path} did not respond to another thread within {TURN:g} s")
        try:
            failed, reason = self._failed
            if failed > began:  # otherwise the waits of the threads would add up
                raise StoreError(reason)
            return self._repaired(work)
        except StoreError as error:
            self._failed = time.monotonic(), str(error)
            raise
        finally:
            _turn.release()

    def _repaired(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """The result of `work`, in a new file if the file is damaged."""
        try:
            return self._transaction(work)
        except Damaged:
            self._database.set_aside()
        try:
            return self._transaction(work)
        except Damaged:
            raise StoreError(f"{self.path} is damaged. Choose another path") from None

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        late = self._late.copy()
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE slots SET stamp = ? WHERE key = ? AND slot = ?",
                [(stamp, key, slot) for (key, slot), stamp in late.items()],
            )
            result = work(connection)
        for entry in late:
            self._late.pop(entry, None)
        return result

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Deletes some old keys. If more are left, the next reservation deletes the next keys."""
        self._until_sweep -= 1
        if self._until_sweep < 0:
            old = connection.execute(
                "SELECT key FROM keys WHERE ends <= ? LIMIT ?", (now - SWEPT_AFTER, SWEPT)
            ).fetchall()
            connection.executemany("DELETE FROM keys WHERE key = ?", old)
            connection.executemany("DELETE FROM slots WHERE key = ?", old)
            self._until_sweep = SWEEP if len(old) < SWEPT else 0


def _usage(connection: sqlite3.Connection, claim: Claim, now: float) -> Usage:
    """The slots of a claim. Deletes old slots, and saves repaired stamps."""
    row = connection.execute(
        "SELECT since, until FROM keys WHERE key = ?", (claim.key,)
    ).fetchone() or (None, None)
    stamps: tuple[list[float], list[float]] = ([], [])
    if claim.counted:
        for stamp, pooled in connection.execute(
            "SELECT stamp, pooled FROM slots WHERE key = ? ORDER BY stamp", (claim.key,)
        ):
            if pooled not in (0, 1):
                raise Damaged
            stamps[pooled].append(_number(stamp))
    block = None if row[1] is None else Block(*map(_number, row))
    found = Usage(tuple(stamps[0]), tuple(stamps[1]), block)
    usage = current(claim, found, now)
    if usage != found:
        _repair(connection, claim, now)
        _save(connection, claim, usage)
    return usage


def _number(value: object) -> float:
    """:raises Damaged: if SQLite returned anything else, which a damaged file may contain."""
    if type(value) is not float:
        raise Damaged
    return value


def _text(value: object) -> str:
    """:raises Damaged: as :func:`_number`."""
    if type(value) is not str:
        raise Damaged
    return value


def _repair(connection: sqlite3.Connection, claim: Claim, now: float) -> None:
    for pooled, lasts in enumerate((claim.rule.window, claim.pool_seconds)):
        connection.execute(
            "DELETE FROM slots WHERE key = ? AND pooled = ? AND stamp <= ?",
            (claim.key, pooled, now - lasts),
        )
    connection.execute(
        "UPDATE slots SET stamp = ? WHERE key = ? AND stamp > ?",
        (now, claim.key, now + GRACE + HORIZON),
    )


def _taken(
    connection: sqlite3.Connection,
    claim: Claim,
    usage: Usage,
    slot: int,
    stamp: float,
    pooled: bool,
) -> Usage:
    """Adds a slot. The result is the usage after that."""
    connection.execute(
        "INSERT INTO slots (key, slot, stamp, pooled) VALUES (?, ?, ?, ?)",
        (claim.key, slot, stamp, pooled),
    )
    usage = with_slot(usage, stamp, pooled)
    _save(connection, claim, usage)
    return usage


def _save(connection: sqlite3.Connection, claim: Claim, usage: Usage) -> None:
    since, until = usage.block or (None, None)
    connection.execute(
        "INSERT OR REPLACE INTO keys (key, owner, rule, label, since, until, ends) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (claim.key, claim.owner, claim.rule.name, claim.label, since, until, ends(claim, usage)),
    )


@atexit.register
def _flush_all() -> None:
    for store in list(_stores):
        with suppress(Exception):  # all processes then count the slots a minute longer
            store.flush()
            store.close()
