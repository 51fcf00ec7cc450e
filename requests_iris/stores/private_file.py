"""A file that only the owner can read, and that changes as a whole or not at all.

Every operation keeps two promises. A passing error (too many open files, a permission, a disk or
network fault) is raised and changes nothing. The user's own files are never overwritten or
deleted.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ..secret import SecretBytes
from .error import StoreError

log = logging.getLogger("requests_iris")

Parsed = TypeVar("Parsed")

#: The ending of a damaged file's new name. A number follows from the second file on.
ASIDE = ".bak"
#: Damaged files that are kept at most. Then saving fails until a person removes files.
MOST_ASIDE = 10
#: Bytes of a token store at most, enough for thousands of tokens.
LIMIT = 16 * 2**20

_OWNER_ONLY = 0o600
_OWNER_ONLY_DIRECTORY = 0o700
_OTHERS = 0o077
# O_NONBLOCK: opening a named pipe must not wait for a writer. Some systems lack these flags.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Unusable(Exception):
    """The path does not hold a private file of this user. The text says why."""


class PrivateFile:
    """The file at a path. The caller holds a lock for each change.

    Helper files have unmistakable names such as ``.token.json.requests_iris.lock``, because
    ``token.json.lock`` may be a file of the user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warned = False

    def helper(self, ending: str) -> Path:
        """The path of a helper file in the same directory."""
        return self.path.with_name(f".{self.path.name}.requests_iris{ending}")

    def read(self, parse: Callable[[bytes], Parsed]) -> Parsed:
        """Reads the file, parses the content, and makes the file private.

        :param parse: raises Unusable if the content is not a token store.
        :raises FileNotFoundError: if the file does not exist.
        :raises Unusable: if the path holds a link, a pipe or a socket, a file of a different user,
            or a file that is too large.
        :raises StoreError: if a different program changed the file meanwhile.
        :raises OSError: if the file cannot be read now.
        """
        descriptor = self._open()
        try:
            before = os.fstat(descriptor)
            self._check(before)
            with open(descriptor, "rb", closefd=False) as file:
                content = SecretBytes(file.read(LIMIT + 1))
            after = os.fstat(descriptor)
            if len(content) > LIMIT:
                raise Unusable(f"larger than {LIMIT} bytes")
            if len(content) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
                # This library only replaces files, so a different program is writing.
                raise StoreError(f"A different program changed {self.path} during reading")
            parsed = parse(content)
            self._take_from_others(descriptor, after)
            return parsed
        finally:
            os.close(descriptor)

    def replace(self, content: bytes, *, set_aside: bool = False) -> None:
        """Replaces the file. After a power cut, the path holds the old file or the new file.

        :param set_aside: keep the old file under a new name.
        :raises StoreError: if too many old files were kept before.
        :raises OSError: if the new file cannot be written. The old file stays.
        """
        temporary = self.helper(".tmp")
        with suppress(FileNotFoundError):  # from a process that was killed during a save
            os.unlink(temporary)
        try:
            _write(temporary, content)
            if set_aside:
                self._set_aside()
            os.replace(temporary, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(self.path.parent)

    def _open(self) -> int:
        try:
            # Without O_NOFOLLOW the system would follow a link.
            if not hasattr(os, "O_NOFOLLOW"):
                self._check_kind()
            return os.open(self.path, _READ | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            self._check_kind()
            raise

    def _check_kind(self) -> None:
        """Raises Unusable for a link or a socket, which can never be opened."""
        with suppress(OSError):
            mode = os.lstat(self.path).st_mode
            if stat.S_ISLNK(mode):
                raise Unusable("a link")
            if stat.S_ISSOCK(mode):
                raise Unusable("a socket")

    def _check(self, status: os.stat_result) -> None:
        if is_taken(status.st_mode):  # a directory may hold anything, so renaming would harm
            raise StoreError(f"{self.path} is a directory or a device. Choose another path")
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("not a regular file")
        if os.name == "posix" and status.st_uid != os.geteuid():
            raise Unusable("a file of a different user")  # who may have planted a token

    def _take_from_others(self, file: int, status: os.stat_result) -> None:
        if os.name != "posix" or not status.st_mode & _OTHERS:
            return
        try:
            os.fchmod(file, _OWNER_ONLY)
        except OSError as error:  # such as a read-only file system
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
            log.log(level, "others can read the token store %s: %s", self.path, error.strerror)
        else:
            log.warning(
                "others could read the token store %s. Now only its owner can read the file",
                self.path,
            )

    def _set_aside(self) -> None:
        """Renames the file. Reserving the new name first makes overwriting impossible."""
        for number in range(MOST_ASIDE):
            aside = self.path.with_name(f"{self.path.name}{ASIDE}{number or ''}")
            try:
                os.close(os.open(aside, _CREATE, _OWNER_ONLY))
            except FileExistsError:
                continue
            try:
                os.replace(self.path, aside)
            except BaseException:
                os.unlink(aside)
                raise
            log.info("The file %s is now called %s", self.path, aside.name)
            return
        raise StoreError(
            f"{self.path} is damaged, and {MOST_ASIDE} damaged files were kept before. "
            f"Remove the files {self.path.name}{ASIDE}*"
        )


def make_directory(path: Path) -> None:
    """Creates a directory with mode 0700, and missing parents too, whatever the umask is.

    The modes of existing directories do not change.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        os.mkdir(path, _OWNER_ONLY_DIRECTORY)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    # A umask that takes permissions from the owner would lock the owner out.
    if os.name == "posix" and path.stat().st_mode & 0o777 != _OWNER_ONLY_DIRECTORY:
        path.chmod(_OWNER_ONLY_DIRECTORY)


def is_taken(mode: int) -> bool:
    """Whether a path holds a directory or a device such as /dev/null."""
    return stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, _CREATE, _OWNER_ONLY), "wb") as file:
        if os.name == "posix":
            os.fchmod(file.fileno(), _OWNER_ONLY)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Makes the new name durable. A failure costs nothing but a sign-in after a power cut."""
    with suppress(OSError):  # Windows and some file systems do not support fsync
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
