"""A token in a file, for the processes of one machine."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import SettingError

log = logging.getLogger("requests_iris")

#: The member that tells a file of ours from another one, and its value.
FORMAT = ("requests_iris", 1)
#: What a file is called that was there and was none of ours, after its name.
ASIDE = ".bak"
_MINE_ALONE = 0o600
_OTHERS = 0o077


class FileTokenStore:
    """Keeps tokens in a JSON file that only its owner can read; needs the extra ``file``.

    A file that cannot be used is reported once and replaced; a link in its place is not followed.
    The lock is the operating system's, on a file beside it: it ends with its process.

    :param path: of the file. A directory that is missing is made when the first token is saved.
    :raises SettingError: if it cannot be the path of a file.
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
        self._reported = False

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self.path)!r})"

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:  # noqa: ARG002
        """One for the whole file, whatever the key: the file is written as a whole."""
        from filelock import FileLock

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # a new object each time, so that threads exclude each other as processes do
        with FileLock(self._beside(".lock"), timeout=wait, mode=_MINE_ALONE):
            yield

    def load(self, key: str) -> dict[str, Any] | None:
        token = (self._tokens() or {}).get(key)
        return token if isinstance(token, dict) else None

    def save(self, key: str, token: dict[str, Any]) -> None:
        name, version = FORMAT
        tokens = self._tokens()
        if tokens is None and not self.path.is_dir():
            with suppress(FileNotFoundError):
                os.replace(self.path, self._beside(ASIDE))
        tokens = {**(tokens or {}), key: token}
        self._replace_by(json.dumps({name: version, "tokens": tokens}, indent=1))
        self._reported = False

    def _tokens(self) -> dict[str, Any] | None:
        """All that the file holds; None if it cannot be used."""
        name, version = FORMAT
        try:
            content = json.loads(self._read())
            if content[name] != version or not isinstance(content["tokens"], dict):
                raise ValueError("its format is another")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            self._report(error.strerror or type(error).__name__)
        except (ValueError, TypeError, LookupError, RecursionError):
            self._report("it is damaged, or not a token store's")
        else:
            return dict(content["tokens"])
        return None

    def _read(self) -> bytes:
        # not to wait for the writer of a pipe that somebody has put there
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(self.path, flags), "rb") as file:
            self._keep_private(file.fileno())
            return file.read()

    def _keep_private(self, file: int) -> None:
        """Takes the file away from others, if it is ours.

        :raises PermissionError: if it is not; what it holds may have been planted.
        """
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no file")
        if os.name != "posix":
            return  # elsewhere, these bits mean nothing
        if status.st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to another user")
        if status.st_mode & _OTHERS:
            os.fchmod(file, _MINE_ALONE)
            log.warning("others could read the token store %s: now its owner alone can", self.path)

    def _replace_by(self, text: str) -> None:
        # always the same name, since the lock is held: a process killed in here leaves no litter
        temporary = self._beside(".tmp")
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        try:
            made = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MINE_ALONE)
            with open(made, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _report(self, reason: str) -> None:
        if not self._reported:
            log.warning(
                "the token store %s cannot be used: %s; it is replaced, and kept as %s",
                *(self.path, reason, self._beside(ASIDE).name),
            )
        self._reported = True


def _checked(path: str | os.PathLike[str]) -> Path:
    """`path`, also good after a change of directory."""
    try:
        file = Path(os.fsdecode(path)).expanduser().absolute()
        usable = file.name and "\0" not in str(file) and not _is_taken(file)
    except (ValueError, RuntimeError, OSError):  # such as ~ without a home
        usable = False
    if not usable:
        raise SettingError("token_store must be the path of a file", setting="token_store")
    return file


def _is_taken(file: Path) -> bool:
    """By a directory, or by a device such as /dev/null, which the whole machine would miss."""
    try:
        mode = file.stat().st_mode
    except OSError:  # it is not there, or not to be seen: then the store fails, and no session
        return False
    return stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
