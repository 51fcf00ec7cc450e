"""Shares a token through a store, which may fail at any time without stopping anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

from .clock import Clock
from .stores import StoreError, TokenStore
from .text import one_line
from .token import Token

log = logging.getLogger("requests_iris")

#: Seconds of one attempt to get the lock, and so the longest delay until a stored token is seen.
ATTEMPT = 0.25


class Busy(Exception):
    """Another process holds the store's lock, and there is no need to wait for it."""


class Sharing:
    """A store whose faults are reported once and survived. Without a store, it does nothing.

    One thread at a time is in here, the leader of a renewal.
    """

    def __init__(self, store: TokenStore | None = None, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or Clock()
        self._failing = False
        self._faults = 0
        #: The former keys whose entries this session has removed.
        self._removed: set[str] = set()
        # during a renewal without the lock, so that a store that hangs does so only once
        self._without_store = False

    def with_lock(
        self,
        key: str | None,
        wait: float,
        work: Callable[[bool], Token],
        stop: Callable[[], bool] = lambda: False,
    ) -> Token:
        """Does `work` with the store's lock held, and passes whether the lock could be had.

        :param key: None if nothing is shared.
        :param wait: seconds to wait for the lock; 0 means one try.
        :param stop: asked after each attempt.
        :raises Busy: if another process holds the lock, and `wait` is 0 or `stop` returns true.
        """
        faults, lock = self._faults, ExitStack()
        held = self._acquire(lock, key, wait, stop)
        self._without_store = not held
        try:
            token = work(held)
        finally:
            self._without_store = False
            try:
                lock.close()
            except Exception as error:
                self._report(error)
        if self._faults == faults:
            self.works()
        return token

    def load(self, key: str | None) -> Token | None:
        """The stored token, if there is one that can be used."""
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

        :param former_key: the key of an earlier release. The first save removes its entry.
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

    def _acquire(
        self, lock: ExitStack, key: str | None, wait: float, stop: Callable[[], bool]
    ) -> bool:
        """Takes the lock, in short attempts: a token that is stored meanwhile ends the wait."""
        if self._store is None or key is None:
            return False
        ends = self._clock.monotonic() + wait
        while True:
            began = self._clock.monotonic()
            try:
                lock.enter_context(self._store.lock(key, max(0, min(ATTEMPT, ends - began))))
                return True
            except TimeoutError as error:
                if not wait or stop():
                    raise Busy from None
                if self._clock.monotonic() >= ends:
                    self._report(error)
                    return False
            except Exception as error:
                self._report(error)
                return False
            # a store that gives up early is not asked in a tight loop
            self._clock.sleep(max(0, min(began + ATTEMPT / 2, ends) - self._clock.monotonic()))

    def _report(self, error: Exception) -> None:
        self._faults += 1
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing = True
        log.log(level, "The token store failed. This session continues alone: %s", reason_of(error))


def reason_of(error: Exception) -> str:
    """Why a store has failed, in a few words.

    The text of an error may contain a URL or a token. Only the words of the operating system are
    used; in their case a filename is a filename, and not a URL as in urllib's HTTPError.
    """
    if isinstance(error, StoreError):
        return one_line(error, 500)
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror + (f" ({error.filename})" if error.filename else ""))
    return type(error).__name__
