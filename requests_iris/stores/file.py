"""A token store in a file, for the processes of one machine."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SettingError
from ..secret import SecretBytes
from .error import LockTimeout
from .private_file import ASIDE, PrivateFile, Unusable, is_taken, make_directory
from .turns import Turns

log = logging.getLogger("requests_iris")

#: The name and the value of the member that marks a token store.
FORMAT = ("requests_iris", 1)
#: Seconds between two attempts to get the lock.
POLL = 0.02
#: Seconds before a second look at a damaged file: a program may be rewriting the file in place.
SECOND_LOOK = 0.1


class FileTokenStore:
    """Keeps tokens in a JSON file that only the owner can read. Needs the extra ``file``.

    The file holds a token for each grant, user, client and scope. Each save replaces the whole
    file, so that a reader sees the old content or the new content, and a killed process loses
    nothing.

    - *No file*: the store is empty.
    - *Damage* (the content is not a token store, the file belongs to a different user, or the path
      holds a link, pipe or socket): the store warns once and counts as empty. The next save
      renames the file to ``….bak`` (then ``….bak1``, up to ``….bak9``) and creates a new file.
    - *A passing error* is raised and changes nothing: too many open files, a missing permission, a
      full disk, a network file system without locks, and every error that is not damage. The
      session then continues without the store.

    The operating system holds the lock, on a helper file, until the process releases the lock or
    ends. Threads may share a store, because each call opens the files again.

    :param path: path of the file. The first lock creates missing directories with mode 0700.
    :raises SettingError: if `path` cannot be the path of a file.
    :raises ModuleNotFoundError: if filelock is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import filelock  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'FileTokenStore needs filelock: pip install "requests-iris[file]"', name="filelock"
            ) from error
        self.path = _checked(path)
        self._file = PrivateFile(self.path)
        self._reported = False
        self._turns = Turns(2 * POLL)

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self.path)!r})"

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:  # noqa: ARG002
        """A lock for all keys, because each save replaces the whole file.

        :raises LockTimeout: if a different process or thread holds the lock for longer than `wait`.
        :raises OSError: if locking is impossible, such as without write permission.
        """
        from filelock import FileLock, Timeout

        self._turns.wait()
        make_directory(self.path.parent)
        # A new lock object for each call makes threads exclude each other, as processes do.
        # Filelock's fallback, an existence lock, would outlive a killed process.
        lock = FileLock(
            self._file.helper(".lock"), mode=0o600, poll_interval=POLL, fallback_to_soft=False
        )
        try:
            lock.acquire(timeout=max(0, wait))
        except Timeout:
            raise LockTimeout(f"A different process holds the lock of {self.path}") from None
        try:
            yield
        finally:
            lock.release()
            self._turns.ended()

    def load(self, key: str) -> dict[str, Any] | None:
        try:
            token = self._tokens().get(key)
        except Unusable as error:
            self._report(error)
            return None
        return token if isinstance(token, dict) else None

    def save(self, key: str, token: dict[str, Any]) -> None:
        content, damaged = self._content_with(key, token)
        self._file.replace(content, set_aside=damaged)
        self._reported = False

    def delete(self, key: str) -> None:
        """Removes the token of `key`, if there is one. Only called while the lock is held."""
        tokens = self._settled_tokens() or {}
        if tokens.pop(key, None) is not None:
            self._file.replace(_content_of(tokens))

    def _content_with(self, key: str, token: dict[str, Any]) -> tuple[bytes, bool]:
        """The file's content with a new token, and whether the old file is damaged."""
        tokens = self._settled_tokens()
        return _content_of({**(tokens or {}), key: token}), tokens is None

    def _settled_tokens(self) -> dict[str, Any] | None:
        """All tokens of the file. None if the file is damaged now and a moment later."""
        try:
            return self._tokens()
        except Unusable:
            time.sleep(SECOND_LOOK)
        try:
            return self._tokens()
        except Unusable as error:
            self._report(error)
            return None

    def _tokens(self) -> dict[str, Any]:
        """All tokens of the file, by key.

        :raises Unusable: if the file is damaged.
        """
        try:
            return self._file.read(_parse)
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def _report(self, reason: Unusable) -> None:
        # Two threads may both warn. A second warning does no harm.
        if not self._reported:
            log.warning(
                "The token store %s is not usable: %s. "
                "The next save renames the file to %s (or a higher number) and creates a new file",
                *(self.path, reason, self.path.name + ASIDE),
            )
        self._reported = True


def _content_of(tokens: dict[str, Any]) -> bytes:
    name, version = FORMAT
    return SecretBytes(json.dumps({name: version, "tokens": tokens}, indent=1).encode())


def _parse(content: bytes) -> dict[str, Any]:
    name, version = FORMAT
    try:
        members = json.loads(content)
        if members[name] == version and isinstance(members["tokens"], dict):
            return dict(members["tokens"])
    except (ValueError, TypeError, LookupError, RecursionError):
        pass  # Raised below, outside of `except`: an error of json holds the text with the tokens.
    raise Unusable("damaged, or not a token store")


def _checked(path: str | os.PathLike[str]) -> Path:
    """`path` as an absolute path, which stays valid after a change of directory."""
    try:
        file = Path(os.fsdecode(path)).expanduser().absolute()
        usable = file.name and "\0" not in str(file) and not _is_taken(file)
    except (ValueError, RuntimeError, OSError):  # such as ~ for a user without a home directory
        usable = False
    if not usable:
        raise SettingError("token_store must be the path of a file", setting="token_store")
    return file


def _is_taken(file: Path) -> bool:
    try:
        return is_taken(file.stat().st_mode)
    except OSError:  # missing or not visible: loading or saving will report the error
        return False
