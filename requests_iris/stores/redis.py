"""A token in Redis, for many machines."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import SettingError

if TYPE_CHECKING:
    from redis import Redis

#: Seconds after which the lock of a holder that has died is free; a renewal takes 10 at most.
LOCK_LASTS = 14.0
#: Seconds for which a token is kept that nobody renews.
TOKEN_LASTS = 30 * 24 * 3600
#: Seconds to wait for Redis: for a connection, and for each reply.
TIMEOUT = 2.0

# A holder that was stopped for longer than its lock lasts must not write over a newer token.
_SAVE_IF_LOCKED = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""


class RedisTokenStore:
    """Keeps tokens in Redis; needs the extra ``redis``.

    A pickle of it holds the URL, with its password, and no connection.

    :param url: ``redis://…`` or ``rediss://…``, as redis-py takes it.
    :param lock_lasts: seconds after which the lock of a holder that has died is free.
    :raises SettingError: if `url` cannot be right.
    :raises ModuleNotFoundError: if redis-py is not installed.
    """

    def __init__(self, url: str, *, lock_lasts: float = LOCK_LASTS) -> None:
        self._url = url
        self._lock_lasts = lock_lasts
        self._start_anew()
        try:
            if urlsplit(url).scheme not in ("redis", "rediss"):
                raise ValueError
            self._connected()
        except (ValueError, AttributeError, TypeError):
            # without the URL and redis-py's words, which may hold the password
            raise SettingError(
                "token_store is no URL such as redis://host:6379/0", setting="token_store"
            ) from None

    def _start_anew(self) -> None:
        self._client: Redis | None = None
        # by thread and key; each thread touches only its own, so no lock is needed
        self._fences: dict[tuple[int, str], str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_url": self._url, "_lock_lasts": self._lock_lasts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_anew()

    def __repr__(self) -> str:
        return f"<RedisTokenStore at {urlsplit(self._url).hostname}>"

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:
        lock = self._connected().lock(_names(key)[0], timeout=self._lock_lasts)
        fence = secrets.token_hex(16)
        if not lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=fence):
            raise TimeoutError("another process holds the lock")
        holder = (threading.get_ident(), key)
        self._fences[holder] = fence
        try:
            yield
        finally:
            del self._fences[holder]
            lock.release()

    def load(self, key: str) -> dict[str, Any] | None:
        value: Any = self._connected().get(_names(key)[1])
        return None if value is None else dict(json.loads(value))

    def save(self, key: str, token: dict[str, Any]) -> None:
        """Saves only as long as this thread's lock has not run out.

        :raises redis.exceptions.LockNotOwnedError: if it has.
        """
        from redis.exceptions import LockNotOwnedError

        fence = self._fences.get((threading.get_ident(), key), "")
        saved = self._connected().eval(
            _SAVE_IF_LOCKED, 2, *_names(key), fence, json.dumps(token), str(TOKEN_LASTS)
        )
        if not saved:
            raise LockNotOwnedError("the lock is not held, or not any more")

    def _connected(self) -> Redis:
        """redis-py's client: threads may share it, and it sees to forks itself."""
        if self._client is None:  # two threads at once make two, and one is thrown away
            self._client = _client(self._url)
        return self._client


def _client(url: str) -> Redis:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'RedisTokenStore needs redis: pip install "requests-iris[redis]"', name="redis"
        ) from error
    client: Redis = Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        # for a connection that was closed while it was idle; not after a timeout
        retry=Retry(NoBackoff(), 1, (ConnectionError,)),
    )
    return client


def _names(key: str) -> tuple[str, str]:
    """The names of lock and token; the braces keep them together in a Redis cluster."""
    return f"requests-iris:{{{key}}}:lock", f"requests-iris:{{{key}}}:token"
