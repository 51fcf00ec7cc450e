"""Token stores: where processes and machines share a token."""

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
from ..secret import Secret
from .error import LockTimeout, StoreError
from .file import FileTokenStore
from .redis import RedisTokenStore

__all__ = [
    "FileTokenStore",
    "LockTimeout",
    "RedisTokenStore",
    "StoreError",
    "TokenStore",
    "key_of",
    "open_store",
]


@runtime_checkable
class TokenStore(Protocol):
    """Tokens that many processes share.

    A session survives every exception of a store: the session continues without the store, and
    logs one warning. A store is pickled together with its session, and threads share a store.

    Three rules, which :class:`requests_iris.stores.contract.StoreContract` tests:

    - *A passing error loses nothing.* If reading fails, `load` raises. `load` returns None only if
      no token was saved, because the next save may overwrite everything that `load` does not see.
    - *A lock lasts longer than a renewal*, which takes up to the session's ``token_timeout`` (30
      seconds by default), *and ends soon after the death of the holder.*
    - *Waiting is bounded.* ``lock(key, wait)`` returns or raises within about `wait` seconds. A
      session waits in many short attempts, and looks for a new token after each attempt.

    A `key` is a short ASCII text: a hash of grant, user, client and scope.

    A store may also have a method ``delete(key)``, which removes the token of `key`. A missing
    token is no error. A session calls `delete` while the session holds the lock of a different key,
    to remove a token that only an earlier release of this library could find.
    """

    def lock(self, key: str, wait: float) -> AbstractContextManager[object]:
        """A lock. A single thread of a single process holds the lock during a renewal.

        :param wait: seconds to wait for the lock. 0 means one attempt.
        :raises TimeoutError: on entering, if a different thread or process still holds the lock.
        """

    def load(self, key: str) -> dict[str, Any] | None:
        """The last saved token of `key`, or None without a token. Also called without the lock."""

    def save(self, key: str, token: dict[str, Any]) -> None:
        """Keeps `token`, a dict of JSON values. Only called while the lock is held."""


def open_store(place: TokenStore | str | os.PathLike[str]) -> TokenStore:
    """The store at a path or URL. Nothing is opened or created yet.

    :param place: a path, ``file:///path``, ``redis://…``, ``rediss://…``, or a TokenStore, which
        is returned unchanged.
    :raises SettingError: if `place` is something else.
    :raises ModuleNotFoundError: if the extra for this kind of store is not installed.
    """
    if isinstance(place, str):
        # Before anything can fail: a traceback with local variables must not show the password.
        place = Secret(place)
    if isinstance(place, TokenStore):
        return place
    if not isinstance(place, (str, os.PathLike)) or not os.fspath(place):
        raise _refused("a path, a URL, or an object with the methods lock, load and save")
    text = Secret(os.fsdecode(place))
    if "://" not in text and not re.match("(?:file|rediss?):", text, re.IGNORECASE):
        return FileTokenStore(text)
    scheme = Secret(text.partition("://")[0].lower())  # all of "redis:password"
    if scheme in ("redis", "rediss"):
        return RedisTokenStore(text)
    path = path_of(text) if scheme == "file" else None
    if path is not None:
        return FileTokenStore(path)
    # the message does not quote the URL, which may hold a password
    raise _refused("a path, or a URL such as file:///var/lib/app/token.json or redis://host:6379/0")


def key_of(*names: object) -> str:
    """A key for a store: a hash of names, for example user, client and scope."""
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]


def path_of(url: str) -> Path | None:
    """The path of a file URL without a host, or None."""
    try:
        parts = urlsplit(url)
    except ValueError:  # for example half an IPv6 address
        return None
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return None
    return Path(url2pathname(parts.path))


def _refused(wanted: str) -> SettingError:
    return SettingError(f"token_store must be {wanted}", setting="token_store")
