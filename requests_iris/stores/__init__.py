"""Where a token is shared between processes and machines."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import SettingError
from .file import FileTokenStore
from .redis import RedisTokenStore

__all__ = ["FileTokenStore", "RedisTokenStore", "TokenStore", "key_of", "open_store"]


@runtime_checkable
class TokenStore(Protocol):
    """A place for tokens that many processes share.

    Whatever it raises is survived: the session goes on alone, and says so once. It is pickled with
    the session. `key` is a short ASCII text that stands for one API User, and tells nothing of it.
    """

    def lock(self, key: str, wait: float) -> AbstractContextManager[object]:
        """Held by one process, and one thread in it, from reading over renewing to writing.

        It must end with its holder's process, or after a time longer than a renewal (10 s).

        :param wait: seconds to wait for it; 0 means one try.
        :raises TimeoutError: on entering, if another one holds it for longer than that.
        """

    def load(self, key: str) -> dict[str, Any] | None:
        """What was saved last under `key`, or None. Also called without the lock."""

    def save(self, key: str, token: dict[str, Any]) -> None:
        """Keeps `token`, which JSON can hold. Only called with the lock held."""


def open_store(place: TokenStore | str | os.PathLike[str]) -> TokenStore:
    """The store at a path or URL; a store is returned as it is. Nothing is opened or made yet.

    :raises SettingError: if it is none of them.
    :raises ModuleNotFoundError: if the extra that it needs is not installed.
    """
    if isinstance(place, TokenStore):
        return place
    if not isinstance(place, (str, os.PathLike)) or not os.fspath(place):
        raise _refused("a path, a URL, or an object with the methods lock, load and save")
    text = os.fsdecode(place)
    if "://" not in text and not re.match("(?:file|rediss?):", text, re.IGNORECASE):
        return FileTokenStore(text)
    scheme = text.partition("://")[0].lower()
    if scheme in ("redis", "rediss"):
        return RedisTokenStore(text)
    if scheme == "file":
        return FileTokenStore(_path_of(text))
    # the URL is not quoted: it may hold a password
    raise _refused("a path, or a URL that begins with file:///, redis:// or rediss://")


def key_of(*names: object) -> str:
    """A key made of what tells one user of a store from another, which it does not show."""
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]


def _path_of(url: str) -> Path:
    try:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise ValueError
    except ValueError:  # urlsplit's own for half an IPv6 address
        raise _refused(
            "a file URL without a host, such as file:///var/lib/app/token.json"
        ) from None
    return Path(url2pathname(parts.path))


def _refused(wanted: str) -> SettingError:
    return SettingError(f"token_store must be {wanted}", setting="token_store")
