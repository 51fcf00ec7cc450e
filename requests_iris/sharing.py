"""Shares a token through a store, which may fail at any time without stopping anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from .clock import Clock
from .stores import TokenStore
from .stores.error import reason_of
from .token import Token

log = logging.getLogger("requests_iris")

#: Seconds of a single attempt to get the lock: the longest delay until a stored token is seen.
ATTEMPT = 0.25

Lock = AbstractContextManager[object]


class Busy(Exception):
    """Another process holds the store's lock, and waiting is not needed."""


class Sharing:
    """A token store. Faults are reported once, and never stop a renewal.

    Only the leader of a renewal calls the methods, so no lock is needed. Without a store, each
    method does nothing.
    """

    def __init__(self, store: TokenStore | None = None, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or Clock()
        self._failing = False
        self._faults = 0
        #: Former keys with entries removed by this session.
        self._removed: set[str] = set()
        # during a renewal without the lock: a hanging store is asked only once
        self._without_store = False

    def with_lock(
        self,
        key: str | None,
        wait: float,
        work: Callable[[bool], Token],
        stop: Callable[[], bool] = lambda: False,
    ) -> Token:
        """Does `work` with the store's lock held. The argument of `work`: whether the lock is held.

        :param key: None if nothing is shared.
        :param wait: seconds to wait for the lock; 0 means one try.
        :param stop: asked after each attempt.
        :raises Busy: if another process holds the lock, and `wait` is 0 or `stop` returns true.
        """
        faults = self._faults
        lock = self._acquire(key, wait, stop)
        try:
            self._without_store = lock is None
            token = work(lock is not None)
        finally:
            self._without_store = False
            if lock is not None:
                self._release(lock)
        if self._faults == faults:
            self.works()
        return token

    def load(self, key: str | None) -> Token | None:
        """The stored token, or None."""
        if self._store is None or key is None or self._without_store:
            return None
        try:
            saved = self._store.load(key)
            return None if saved is None else Token.from_dict(saved)
        except Exception as error:
            self._report(error)
            return None

    def save(self, key: str | None, token: Token, former_key: str | None = None) -> None:
        """Stores the token, if possible. The lock is held.

        :param former_key: the key of an earlier release. The first save removes the former entry.
        """
        if self._store is None or key is None:
            return
        try:
            self._store.save(key, token.as_secret_dict())
            self._remove(former_key)
        except Exception as error:
            self._report(error)

    def _remove(self, key: str | None) -> None:
        delete = getattr(self._store, "delete", None)  # a store of a user may have no `delete`
        if key is not None and key not in self._removed and delete is not None:
            delete(key)
            self._removed.add(key)

    def works(self) -> None:
        """Records that the store works. The next fault is reported as a warning again."""
        self._failing = False

    def _acquire(self, key: str | None, wait: float, stop: Callable[[], bool]) -> Lock | None:
        """Takes the lock, in short attempts: a stored token ends the wait.

        Returns None without a lock. After an interrupt, an ExitStack would be a cycle and
        hold the lock until the next garbage collection.
        """
        if self._store is None or key is None:
            return None
        ends = self._clock.monotonic() + wait
        while True:
            began = self._clock.monotonic()
            try:
                lock = self._store.lock(key, max(0, min(ATTEMPT, ends - began)))
                lock.__enter__()
                return lock
            except TimeoutError as error:
                if not wait or stop():
                    raise Busy from None
                if self._clock.monotonic() >= ends:
                    self._report(error)
                    return None
            except Exception as error:
                self._report(error)
                return None
            # a store may give up early, and must not be asked in a tight loop
            self._clock.sleep(max(0, min(began + ATTEMPT / 2, ends) - self._clock.monotonic()))

    def _release(self, lock: Lock) -> None:
        try:
            lock.__exit__(None, None, None)
        except Exception as error:
            self._report(error)
        except BaseException:
            # an interrupt can strike before the store has released anything
            with suppress(Exception):
                lock.__exit__(None, None, None)
            raise

    def _report(self, error: Exception) -> None:
        self._faults += 1
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing = True
        log.log(level, "The token store failed. This session continues alone: %s", reason_of(error))
