"""A spool: the items of an unfinished list, in a file beside the target.

The file is JSON Lines. The first line is the head: the version, and hashes of the request. A record
follows for each page: a line ``[item]`` for each item, and a last line such as
``{"items": 250, "resume": {...}, "complete": false, "crc32": 123}`` with the number of all items so
far, the resume point after these items, and a checksum of the record.

Items count only with the last line of the record. A process may be killed in the middle of a
record. The record then has no last line, and the next run drops the record and continues at the
resume point of the record before. So a record and its resume point are written in one atomic step.

Each record is on the disk (fsync) before the next page is requested, so the file also survives a
loss of power. An fsync takes milliseconds, and a page takes more: IRIS allows a page of a fleet
every 15 minutes.
"""

from __future__ import annotations

import io
import json
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..text import one_line
from .failures import Failure, WrongSetting
from .file_lock import lock
from .json_text import Item
from .writers import sync_directory

#: After the name of the target.
ENDING = ".partial"
#: The version of this format.
VERSION = 1
#: The first member of the head.
MAGIC = "requests-iris spool"
#: Bytes of the head, at most.
LONGEST_HEAD = 10_000
#: How the last line of a record begins. A line of an item begins with "[".
_LAST = b"{"


@dataclass(frozen=True)
class Mark:
    """The last line of a record.

    :ivar items: the number of items in this record and in all records before.
    :ivar resume: the resume point after these items. None is the beginning of the list.
    :ivar is_complete: whether the list ends here.
    :ivar end: where the record ends in the file, in bytes.
    """

    items: int
    resume: dict[str, Any] | None
    is_complete: bool
    end: int


def spool_of(target: Path) -> Path:
    """The spool of a target: ``fleet.csv.partial`` for ``fleet.csv``."""
    return target.with_name(target.name + ENDING)


class Spool:
    """A spool with a lock of this process. A command uses the spool in its main thread only.

    Iterating yields all items from the beginning, item by item, any number of times, but not two
    times at once.

    :ivar begun: when the first run began, as text.
    """

    #: Some formats read all items twice.
    can_be_read_again = True

    def __init__(self, path: Path, file: io.FileIO, identity: Mapping[str, str]) -> None:
        self.path = path
        self._file = file
        self._identity = dict(identity)
        self._head_size = 0
        self.begun = ""
        with path.open("rb") as reader:
            head = reader.readline(LONGEST_HEAD)
        if _is_begun(head):
            self._check(head)
            self._head_size = len(head)
            self._mark = self._last_mark()
        else:
            self.begin_again()

    @property
    def count(self) -> int:
        """The number of items."""
        return self._mark.items

    @property
    def resume(self) -> dict[str, Any] | None:
        """The resume point after all items."""
        return self._mark.resume

    @property
    def is_complete(self) -> bool:
        """Whether the list was read to its end."""
        return self._mark.is_complete

    def append(
        self,
        items: Iterable[bytes],
        resume: Mapping[str, Any] | None,
        *,
        is_complete: bool = False,
    ) -> None:
        """Add a record. Afterwards the record is on the disk.

        :param items: the JSON of each item.
        :param resume: the resume point after these items.
        :raises OSError: if the disk is full, for example. The records before stay valid.
        """
        lines = [b"[" + item + b"]\n" for item in items]
        body = b"".join(lines)
        count = self.count + len(lines)
        last = {"items": count, "resume": resume, "complete": is_complete}
        last["crc32"] = _checksum(zlib.crc32(body), last)
        self._write(self._mark.end, body + json.dumps(last).encode() + b"\n")
        self._mark = Mark(count, None if resume is None else dict(resume), is_complete, self._size)

    def __iter__(self) -> Iterator[Item]:
        left = self._mark.end - self._head_size
        # not by the path: a file that a user has deleted during the run still has all items
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(self._head_size)
            while left:
                line = file.readline()
                left -= len(line)
                if not line.startswith(_LAST):
                    yield json.loads(line)[0]

    @property
    def is_deleted(self) -> bool:
        """Whether a user has deleted the file during the run. A next run may have a new file."""
        return not _is_file_at(self.path, self._file)

    def remove(self) -> None:
        """Delete the file."""
        if self.is_deleted:
            return
        try:
            self.path.unlink(missing_ok=True)
        except PermissionError:  # Windows deletes no open file
            self._file.close()
            self.path.unlink(missing_ok=True)

    def begin_again(self) -> None:
        """Write a new head, and drop all records."""
        self.begun = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        head = {MAGIC: VERSION, "begun": self.begun, "list": self._identity}
        self._write(0, json.dumps(head).encode() + b"\n")
        sync_directory(self.path.parent)
        self._head_size = self._size
        self._mark = Mark(0, None, is_complete=False, end=self._head_size)

    def _write(self, start: int, data: bytes) -> None:
        """Write `data` at `start`, after the rest of a broken record is cut off."""
        self._file.truncate(start)
        self._file.seek(start)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        os.fsync(self._file.fileno())
        self._size = start + len(data)

    def _check(self, head: bytes) -> None:
        """:raises WrongSetting: if the file is no spool, or belongs to a different request."""
        found = _object_of(head)
        if found.get(MAGIC) != VERSION or not isinstance(found.get("list"), dict):
            raise WrongSetting(
                f"{self._name} is not a file of this version of requests-iris. Move the file away, "
                "or choose another name for -o."
            )
        names = [name for name, value in self._identity.items() if found["list"].get(name) != value]
        if names:
            raise WrongSetting(
                f"{self._name} belongs to another command, with a different {', '.join(names)}. "
                "Run that command again, choose another name for -o, or delete the file to start "
                "over."
            )
        self.begun = one_line(found.get("begun"))

    def _last_mark(self) -> Mark:
        """The mark of the last whole record.

        :raises Failure: if a record does not fit its checksum.
        """
        mark = Mark(0, None, is_complete=False, end=self._head_size)
        end, count, crc = self._head_size, 0, 0
        with self.path.open("rb") as reader:
            reader.seek(end)
            for line in reader:
                end += len(line)
                if not line.startswith(_LAST):
                    count += 1
                    crc = zlib.crc32(line, crc)
                elif line.endswith(b"\n"):
                    mark = self._mark_of(line, mark.items + count, crc, end)
                    count, crc = 0, 0
        return mark

    def _mark_of(self, line: bytes, count: int, crc: int, end: int) -> Mark:
        last = _object_of(line)
        checksum = last.pop("crc32", None)
        if last.get("items") != count or checksum != _checksum(crc, last):
            raise Failure(
                f"{self._name} is damaged before item {count + 1}. Delete the file to start over."
            )
        return Mark(count, last["resume"], last["complete"], end)

    @property
    def _name(self) -> str:
        return one_line(self.path, None)


@contextmanager
def opened(path: Path, identity: Mapping[str, str]) -> Iterator[Spool]:
    """Open or create the spool at `path`, for this process alone.

    A new spool without items is deleted at the end.

    :param identity: hashes of the request, by name. Messages show the names.
    :raises WrongSetting: if the spool belongs to a different request.
    :raises Failure: if a second process uses the spool, or the spool is damaged.
    """
    with _locked(path) as file:
        spool = Spool(path, file, identity)
        try:
            yield spool
        finally:
            if not spool.count and not spool.is_complete:
                with suppress(OSError):
                    spool.remove()


def _locked(path: Path) -> io.FileIO:
    """Open a file and lock the file.

    The process with the lock may delete the file while this process opens the file. The lock then
    protects a file without a name, so this process opens the path again.
    """
    while True:
        # without a buffer, because a buffer writes the bytes of a failed write again when closed
        file = io.FileIO(_open(path), "r+")
        try:
            # reading a pipe, for example of a different user, would wait forever
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise WrongSetting(
                    f"{one_line(path, None)} is not a file of requests-iris. Delete the file, or "
                    "choose another name for -o."
                )
            if not lock(file.fileno()):
                raise Failure(
                    f"{one_line(path, None)} is in use by another process. Wait until the process "
                    "ends, or choose another name for -o."
                )
            if _is_file_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_file_at(path: Path, file: io.FileIO) -> bool:
    """Whether an open file has the name `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    # no link: in a shared directory, a different user could have set the link
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def _is_begun(head: bytes) -> bool:
    """Whether the file has a head. A killed process may leave the first part of a head."""
    beginning = json.dumps({MAGIC: VERSION}).encode()[:-1]
    return head.endswith(b"\n") or not beginning.startswith(head[: len(beginning)])


def _checksum(crc: int, last: Mapping[str, Any]) -> int:
    """The checksum of a record, from the checksum of the items and the last line."""
    return zlib.crc32(json.dumps(last).encode(), crc)


def _object_of(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; empty for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
