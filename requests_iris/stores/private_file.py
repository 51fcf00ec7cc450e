"""A file that only its owner can read, and that changes as a whole or not at all.

Every operation keeps two promises. A passing error (too many open files, a permission, a disk or
network fault) is raised and changes nothing. No file that this library did not create is
overwritten or deleted.
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

#: The ending of a file that was set aside. A number follows from the second file on.
ASIDE = ".bak"
#: The most files that are set aside. Then a person must look, and saving fails.
MOST_ASIDE = 10
#: The most bytes of a file: thousands of tokens. A larger file is not a token store.
LIMIT = 16 * 2**20

_OWNER_ONLY = 0o600
_OWNER_ONLY_DIRECTORY = 0o700
_OTHERS = 0o077
# O_NONBLOCK: opening a named pipe must not wait for a writer. The last two exist on some systems.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Unusable(Exception):
    """The path holds something other than a private file of this user. The text says why."""


class PrivateFile:
    """The file at a path, read and replaced under a lock that the caller holds.

    Helper files have names of their own, such as ``.token.json.requests_iris.lock``, so that they
    cannot collide with a file of the user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def helper(self, ending: str) -> Path:
        """The path of a helper file in the same directory."""
        return self.path.with_name(f".{self.path.name}.requests_iris{ending}")

    def read(self, parse: Callable[[bytes], Parsed]) -> Parsed:
        """The content, as `parse` returns it. Takes the permissions of others from the file.

        :param parse: raises Unusable for a file that is not to be touched.
        :raises FileNotFoundError: if there is no file.
        :raises Unusable: if the path holds a link, a pipe or a socket, a file of another user, or
            a file that is too large.
        :raises StoreError: if another program changed the file meanwhile.
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
                raise Unusable(f"it is larger than {LIMIT} bytes")
            if len(content) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
                # This library replaces the file and never changes it: another program is writing.
                raise StoreError(f"Another program changed {self.path} during reading")
            parsed = parse(content)
            self._take_from_others(descriptor, after)
            return parsed
        finally:
            os.close(descriptor)

    def replace(self, content: bytes, *, set_aside: bool = False) -> None:
        """Puts a new file in the place of the file. After a power cut either of them is there.

        :param set_aside: keep the former file, under another name.
        :raises StoreError: if too many files were set aside before.
        :raises OSError: if the new file cannot be written. The former file stays.
        """
        temporary = self.helper(".tmp")
        with suppress(FileNotFoundError):  # left by a process that was killed during a save
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
            # where the system cannot refuse to follow a link, _check_kind looks for one
            if not hasattr(os, "O_NOFOLLOW"):
                self._check_kind()
            return os.open(self.path, _READ | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            self._check_kind()
            raise

    def _check_kind(self) -> None:
        """Distinguishes a thing that can never be opened from a passing error."""
        with suppress(OSError):
            mode = os.lstat(self.path).st_mode
            if stat.S_ISLNK(mode):
                raise Unusable("it is a link")
            if stat.S_ISSOCK(mode):
                raise Unusable("it is a socket")

    def _check(self, status: os.stat_result) -> None:
        if is_taken(status.st_mode):  # a directory may hold anything: it is not renamed
            raise StoreError(f"{self.path} is a directory or a device. Choose another path")
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("it is not a regular file")
        if os.name == "posix" and status.st_uid != os.geteuid():
            raise Unusable("it belongs to another user")  # its tokens may have been planted

    def _take_from_others(self, file: int, status: os.stat_result) -> None:
        if os.name != "posix" or not status.st_mode & _OTHERS:
            return
        try:
            os.fchmod(file, _OWNER_ONLY)
        except OSError as error:  # such as a file system that is mounted for reading only
            log.warning("others can read the token store %s: %s", self.path, error.strerror)
        else:
            log.warning(
                "others could read the token store %s. Now only its owner can read the file",
                self.path,
            )

    def _set_aside(self) -> None:
        """Renames the file. The new name is reserved first, so that nothing is overwritten."""
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
            f"{self.path} is not usable, and {MOST_ASIDE} files were set aside before. "
            f"Remove the files {self.path.name}{ASIDE}*"
        )


def make_directory(path: Path) -> None:
    """Creates a directory and its parents. Only their owner can use them, whatever the umask is.

    Directories that exist stay as they are.
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
    """Whether a path holds a directory or a device, such as /dev/null, that others need."""
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
    with suppress(OSError):  # Windows and some file systems cannot do this
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
