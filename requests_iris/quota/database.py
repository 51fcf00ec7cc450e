"""An SQLite file: opened when needed, replaced when damaged, and never carried across a fork."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..stores import StoreError
from ..stores.private_file import ASIDE, MOST_ASIDE, make_directory
from ..text import one_line

log = logging.getLogger("requests_iris")

#: Seconds to wait for a different process during its write.
BUSY = 3.0
#: Seconds to wait for a different process that prepares a file. Together with BUSY less than 5.
PREPARED = 1.5
#: Seconds between two attempts to lock the directory.
POLL = 0.02
#: Marks the file of a quota store ("IRIS" as a number), with the version of its tables.
APPLICATION, VERSION = 0x49524953, 1
#: Bytes of the smallest SQLite file.
SMALLEST = 512
#: Pages of the write-ahead log before SQLite copies the pages to the file. By default the log
#: would grow to 4 MB. Each copy waits for the disk.
LOG_PAGES = 250

_CREATE = f"""
BEGIN IMMEDIATE;
CREATE TABLE keys (
    key TEXT PRIMARY KEY, owner TEXT NOT NULL, rule TEXT NOT NULL, label TEXT NOT NULL,
    since REAL, until REAL, ends REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE slots (
    key TEXT NOT NULL, slot INTEGER NOT NULL, stamp REAL NOT NULL, pooled INTEGER NOT NULL,
    PRIMARY KEY (key, slot)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
PRAGMA application_id = {APPLICATION};
COMMIT;
"""
#: Connections of a parent process. Closing such a connection in a child could harm the parent.
_of_parents: list[object] = []


class Damaged(Exception):
    """The file is not a quota store, or SQLite finds its content malformed."""


class Database:
    """The connection to an SQLite file. The caller lets a single thread inside at a time.

    :param path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._closer: weakref.finalize[..., Database] | None = None
        self._inode: tuple[int, int] | None = None

    def close(self) -> None:
        self._connection = None
        if self._closer is not None:
            self._closer()

    def leave_to_parent(self) -> None:
        """In a forked child: forgets the connection without a close."""
        if self._closer is not None:
            _of_parents.append(self._closer.detach())
        self._connection = self._closer = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction without any further writer.

        :raises StoreError: if the file cannot be used now.
        :raises Damaged: if the file is damaged.
        """
        with self._translated():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    def _opened(self) -> sqlite3.Connection:
        """The connection. A deleted or replaced file is opened again."""
        inode = self._inode_of_path()
        if self._connection is not None and inode == self._inode is not None:
            return self._connection
        self.close()
        self._create()
        self._inode = self._inode_of_path()
        connection = sqlite3.connect(
            self.path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        # A garbage collection of a cycle could destroy the connection first.
        self._closer = weakref.finalize(self, _close, connection)
        self._closer.atexit = False  # the store saves responses at the end of the process
        return connection

    def _inode_of_path(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _create(self) -> None:
        """Creates a missing file and its directories. Makes an existing file private.

        An existing file is not opened here: closing any descriptor of a file ends SQLite's locks
        on the file in this process.
        """
        make_directory(self.path.parent)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            status = os.stat(self.path)
            mode = status.st_mode
            if not stat.S_ISREG(mode):
                raise StoreError(
                    f"{self.path} is not a regular file. Choose another path"
                ) from None
            if 0 < status.st_size < SMALLEST:  # SQLite would overwrite such a file
                self._inode = status.st_dev, status.st_ino
                raise Damaged from None
            if os.name == "posix" and mode & 0o077:
                with suppress(OSError):  # the file of a different user, or a read-only file system
                    os.chmod(self.path, mode & 0o700)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            if _is_damage(error):
                raise Damaged from error
            raise StoreError(f"{self.path}: {_reason_of(error)}") from error
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged table
            self.close()
            raise Damaged from error
        except OSError as error:
            raise StoreError(f"{self.path}: {one_line(error.strerror or error)}") from error

    def set_aside(self) -> None:
        """Renames a damaged file, so that the next transaction creates a new file.

        Does nothing if a different process was faster.

        :raises StoreError: if the file cannot be renamed.
        """
        self.close()
        try:
            with _alone_in(self.path.parent):
                if self._inode_of_path() == self._inode:
                    self._rename()
        except OSError as error:
            raise StoreError(
                f"{self.path} is damaged: {one_line(error.strerror or error)}"
            ) from error

    def _rename(self) -> None:
        for number in range(MOST_ASIDE):
            aside = self.path.with_name(f"{self.path.name}{ASIDE}{number or ''}")
            if os.path.lexists(aside):
                continue
            os.rename(self.path, aside)
            for ending in ("-wal", "-shm"):  # the new file must not use the log of the damaged file
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path}{ending}")
            log.warning(
                "The quota store %s was damaged, or was not a quota store. The file is now called "
                "%s, and a new file counts from 0",
                *(self.path, aside.name),
            )
            return
        raise StoreError(
            f"{self.path} is damaged, and {MOST_ASIDE} damaged files were kept before. "
            f"Remove the files {self.path.name}{ASIDE}*"
        )


def _close(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Sets the options of a connection, and creates the tables of a new file."""
    # alone, because SQLite does not wait for a process that changes the mode of the journal
    with _alone_in(path.parent):
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        if _is_new(connection):
            # The mode stays "delete" where a write-ahead log is not possible.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_CREATE)


def _is_new(connection: sqlite3.Connection) -> bool:
    """Whether the file is empty.

    :raises Damaged: if the file belongs to a different program.
    :raises StoreError: if a different version of the library wrote the file.
    """
    connection.execute("BEGIN")  # all three facts at one moment
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    connection.execute("COMMIT")
    if application == APPLICATION and version != VERSION:
        raise StoreError(
            "Another version of requests-iris wrote the quota store. Choose a new path"
        )
    if application != APPLICATION and (application or tables):
        raise Damaged
    return bool(application != APPLICATION)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Excludes processes that prepare or rename a file of `directory`, as far as possible.

    A lock of the directory needs no file, and ends with the process.
    """
    descriptor = _locked(directory)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(directory: Path) -> int | None:
    """A descriptor with the lock, or None where a directory cannot be locked in time."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows, which cannot rename an open file anyway
        return None
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        for _ in range(round(PREPARED / POLL)):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(POLL)
    return descriptor


def _is_damage(error: sqlite3.Error) -> bool:
    # Python 3.10 has no error codes. The texts are constants of SQLite.
    return any(sign in str(error) for sign in _DAMAGE)


def _reason_of(error: sqlite3.Error) -> str:
    """Why SQLite failed, and what to do."""
    text = one_line(error)
    for sign, advice in _ADVICE.items():
        if sign in text:
            return f"{text}. {advice}"
    return text


_DAMAGE = (
    *("malformed", "not a database", "unsupported file format", "no such", "has no column"),
    *("NOT NULL constraint", "datatype mismatch", "decode to UTF-8"),
)
_ADVICE = {
    "locked": f"A different process has held the lock for {BUSY:g} seconds. End this process",
    "readonly": "Make the file and its directory writable, or choose another path",
    "full": "Free some space",
    "unable to open": "Make the file and its directory readable and writable",
}
