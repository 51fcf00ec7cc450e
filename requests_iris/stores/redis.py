"""A token store in Redis, for many machines."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ..errors import SettingError
from ..secret import Secret, SecretBytes
from ..text import one_line
from .error import LockTimeout, StoreError
from .turns import Turns

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

Answer = TypeVar("Answer")

#: Seconds after which the lock of a process that died is free.
LOCK_LASTS = 15.0
#: Seconds for which a living process can hold the lock at most.
LOCK_HELD = 600.0
#: Seconds between two attempts to get the lock.
POLL = 0.05
#: Seconds for which Redis keeps a token that nobody renews.
TOKEN_LASTS = 30 * 24 * 3600
#: Seconds to wait for a connection to Redis, and for each response.
TIMEOUT = 2.0
#: Redis's default port.
PORT = 6379

# A process that was stopped until the lock ended must not overwrite a newer token.
_SAVE_IF_LOCKED = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""


class RedisTokenStore:
    """Keeps tokens in Redis. Needs the extra ``redis``.

    While a thread holds the lock, a helper thread extends the lock every third of `lock_lasts`
    seconds, for 10 minutes at most. So a renewal may take longer than `lock_lasts`. If the process
    dies, or the machine is cut off, the lock ends after `lock_lasts` seconds.

    With ``rediss://`` the server's certificate must be valid for the host name of the URL.
    A pickle of the store holds the URL with its password, and no connection. Threads may share a
    store: redis-py's client is made for threads, and reconnects in a forked child.

    :param url: ``redis://user:password@host:port/database`` or ``rediss://…``. Percent-encode the
        characters ``/ ? # @ :`` in a password. redis-py's options may follow after ``?``.
    :param lock_lasts: seconds after which the lock of a process that died is free.
    :raises SettingError: if `url` is not a Redis URL.
    :raises ModuleNotFoundError: if redis-py is not installed.
    """

    def __init__(self, url: str, *, lock_lasts: float = LOCK_LASTS) -> None:
        # Before anything can fail: a traceback with local variables must not show the password.
        url = self._url = Secret(url)
        self._lock_lasts = lock_lasts
        self._start_without_connection()
        self._place = place_of(url)  # before an error: a traceback may show the store
        check_url(self._place, self._connected, setting="token_store")

    def _start_without_connection(self) -> None:
        self._client: Redis | None = None
        self._turns = Turns(2 * POLL)
        # By thread and key. No lock is needed, because a thread uses only the entries with its id.
        self._fences: dict[tuple[int, str], str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_url": self._url, "_lock_lasts": self._lock_lasts, "_place": self._place}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_without_connection()

    def __repr__(self) -> str:
        return f"<RedisTokenStore at {self._place}>"

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:
        """A lock in Redis for `key`.

        :raises LockTimeout: if a different process or thread holds the lock for longer than `wait`.
        :raises StoreError: if Redis cannot be used.
        :raises redis.exceptions.LockNotOwnedError: on leaving, if the lock ended before.
        """
        self._turns.wait()
        lock = self._connected().lock(
            _names(key)[0], timeout=self._lock_lasts, sleep=POLL, thread_local=False
        )
        fence = secrets.token_hex(16)
        if not self._ask(
            lambda: lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=fence)
        ):
            raise LockTimeout(f"A different process holds the lock in Redis at {self._place}")
        holder = (threading.get_ident(), key)
        self._fences[holder] = fence
        try:
            with _extended(lock, self._lock_lasts):
                yield
        finally:
            del self._fences[holder]
            self._ask(lock.release)
            self._turns.ended()

    def load(self, key: str) -> dict[str, Any] | None:
        value: Any = self._ask(lambda: self._connected().get(_names(key)[1]))
        if value is None:
            return None
        # str with redis-py's option decode_responses
        value = SecretBytes(value) if isinstance(value, bytes) else Secret(value)
        with suppress(ValueError, TypeError):
            return dict(json.loads(value))
        # Outside of any `except`: an error of json holds the value.
        raise StoreError(f"Redis at {self._place} does not hold a token under this key")

    def save(self, key: str, token: dict[str, Any]) -> None:
        """Saves, if the lock of this thread has not ended.

        :raises StoreError: if Redis cannot be used.
        :raises redis.exceptions.LockNotOwnedError: if the lock ended before.
        """
        from redis.exceptions import LockNotOwnedError

        fence = self._fences.get((threading.get_ident(), key), "")
        value = Secret(json.dumps(token))
        arguments = (*_names(key), fence, value, str(TOKEN_LASTS))
        if not self._ask(lambda: self._connected().eval(_SAVE_IF_LOCKED, 2, *arguments)):
            raise LockNotOwnedError("the lock ended before the token was saved")

    def delete(self, key: str) -> None:
        """Removes the token of `key`, if there is one.

        :raises StoreError: if Redis cannot be used.
        """
        self._ask(lambda: self._connected().delete(_names(key)[1]))

    def _ask(self, operation: Callable[[], Answer]) -> Answer:
        """Calls redis-py. The errors of redis-py become a StoreError that is safe to log."""
        from redis.exceptions import LockError

        try:
            return operation()
        except LockError:
            raise
        except Exception as error:
            reason = fault_of(error)
        # Outside of any `except`: the frames of redis-py hold the password and the token.
        raise StoreError(f"Redis at {self._place} cannot be used: {reason}")

    def _connected(self) -> Redis:
        """redis-py's client. If two threads create a client at once, a client is dropped."""
        if self._client is None:
            self._client = client_of(self._url)
        return self._client


@contextmanager
def _extended(lock: Lock, lasts: float) -> Iterator[None]:
    """Extends the lock while the holder lives, so that a renewal may take longer than `lasts`."""
    done = threading.Event()

    def extend() -> None:
        pause = lasts / 3
        for _ in range(int(LOCK_HELD / pause)):
            if done.wait(pause):
                return
            with suppress(Exception):  # the next try is soon, and save() reports a lost lock
                lock.reacquire()

    with suppress(RuntimeError):  # no more threads: the lock then lasts for `lasts` seconds
        threading.Thread(target=extend, name="requests-iris-lock", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def client_of(url: str) -> Redis:
    """A client of redis-py that gives up after `TIMEOUT`. Nothing is sent.

    :raises ModuleNotFoundError: if redis-py is not installed.
    """
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'A store in Redis needs redis: pip install "requests-iris[redis]"', name="redis"
        ) from error
    tls = {"ssl_check_hostname": True} if url.lower().startswith("rediss:") else {}
    client: Redis = Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        # Repairs an idle connection that Redis closed. Does not repeat after a timeout.
        retry=Retry(NoBackoff(), 1, (ConnectionError,)),
        **tls,
    )
    return client


def check_url(place: str | None, connected: Callable[[], Redis], *, setting: str) -> None:
    """Checks that redis-py accepts the URL of a store. Nothing is sent.

    :param place: the result of :func:`place_of` for the URL.
    :param connected: returns a client for the URL.
    :raises SettingError: if redis-py does not accept the URL.
    """
    if not place or not _is_accepted(connected):
        # Outside of any `except`: the errors of urllib and redis-py hold the URL.
        raise SettingError(
            f"{setting} is not a URL such as redis://:password@host:6379/0. "
            "Percent-encode special characters in the password",
            setting=setting,
        )


def _is_accepted(connected: Callable[[], Redis]) -> bool:
    try:
        pool = connected().connection_pool
        pool.connection_class(**pool.connection_kwargs)  # checks the options, and sends nothing
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def place_of(url: str) -> str | None:
    """``host:port`` of a Redis URL, or None for anything else.

    An unencoded ``/``, ``?`` or ``#`` in the password would end the host part too early, and
    ``host:port`` would show a piece of the password. Then the ``@`` is in a later part of the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or PORT
    except (ValueError, AttributeError, TypeError):
        return None
    misplaced = "@" in parts.path + parts.fragment or ("@" in parts.query and not parts.hostname)
    if parts.scheme not in ("redis", "rediss") or misplaced:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fault_of(error: Exception) -> str:
    """Why Redis cannot be used, without the text that a server sent.

    A server repeats parts of a command in its errors, such as the password of AUTH.
    """
    from redis.exceptions import AuthenticationError, ResponseError, TimeoutError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return one_line(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return f"no response within {TIMEOUT:g} seconds"
    if isinstance(error, AuthenticationError):
        return "Redis refused the user name or the password"
    code = re.match(r"(MISCONF|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|OOM)\b", str(error))
    if isinstance(error, ResponseError) and code:
        return code[0]
    return type(error).__name__


def _names(key: str) -> tuple[str, str]:
    """The names of lock and token. The braces place both on the same node of a cluster."""
    return f"requests-iris:{{{key}}}:lock", f"requests-iris:{{{key}}}:token"
