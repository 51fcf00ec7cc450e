"""Sharing a token through a store, which may fail at any time without stopping anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .stores import StoreError, TokenStore
from .text import one_line
from .token import Token

log = logging.getLogger("requests_iris")

#: Seconds of one attempt to get a store's lock, and so the longest delay of a stored token.
ATTEMPT = 0.25


class Busy(Exception):
    """Another process is renewing, and there is no need to wait for it."""


class Stored(Exception):
    """Another process has stored the token that the lock was wanted for."""


class Sharing:
    """A store whose faults are told once and survived; without a store it does nothing.

    Threads share it: the lead of a renewal, of which there is one, is alone in here.
    """

    def __init__(self, store: TokenStore | None = None) -> None:
        self._store = store
        self._failing = False
        self._faults = 0
        self._alone = False  # in a renewal without the lock: a store that hangs hangs only once

    @contextmanager
    def locked(
        self, key: str | None, wait: float, is_stored: Callable[[], object] = lambda: False
    ) -> Iterator[bool]:
        """Holds the store's lock, if it can be had, and tells whether it is held.

        :param key: None for no sharing.
        :param wait: seconds to wait for it; 0 means one try.
        :param is_stored: asked after each attempt; a true answer ends the wait.
        :raises Busy: if another one holds it and `wait` is 0.
        :raises Stored: if `is_stored` ended the wait.
        """
        faults, lock = self._faults, ExitStack()
        held = self._acquire(lock, key, wait, is_stored)
        self._alone = not held
        try:
            yield held
        finally:
            self._alone = False
            try:
                lock.close()
            except Exception as error:
                self._tell(error)
        if self._faults == faults:
            self.works()

    def load(self, key: str | None) -> Token | None:
        """What is stored, if it can be had and used."""
        if self._store is None or key is None or self._alone:
            return None
        try:
            saved = self._store.load(key)
            return None if saved is None else Token.from_dict(saved)
        except Exception as error:
            self._tell(error)
            return None

    def save(self, key: str | None, token: Token) -> None:
        """Stores it, if that is possible. The lock is held."""
        if self._store is None or key is None:
            return
        try:
            self._store.save(key, token.as_dict())
        except Exception as error:
            self._tell(error)

    def works(self) -> None:
        """The next fault is news again."""
        self._failing = False

    def _acquire(
        self, lock: ExitStack, key: str | None, wait: float, is_stored: Callable[[], object]
    ) -> bool:
        """Waits in short attempts: most waits end because a token was stored, not by the lock."""
        if self._store is None or key is None:
            return False
        ends = time.monotonic() + wait
        while True:
            began = time.monotonic()
            try:
                lock.enter_context(self._store.lock(key, max(0, min(ATTEMPT, ends - began))))
                return True
            except TimeoutError as error:
                if not wait:
                    raise Busy from None
                if time.monotonic() >= ends:
                    self._tell(error)
                    return False
            except Exception as error:
                self._tell(error)
                return False
            if is_stored():
                raise Stored
            # a store may give up early, and must not be asked in a tight loop
            time.sleep(max(0, min(began + ATTEMPT / 2, ends) - time.monotonic()))

    def _tell(self, error: Exception) -> None:
        self._faults += 1
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing = True
        log.log(level, "the token store failed, this session goes on alone: %s", reason_of(error))


def reason_of(error: Exception) -> str:
    """Why a store has failed, in a few words.

    An error's own may hold what it was about, such as a URL or a token; only where the system
    speaks is its filename one, and not a URL as in urllib's HTTPError.
    """
    if isinstance(error, StoreError):
        return one_line(error, 500)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f" ({error.filename})" if error.filename else "")
    return type(error).__name__
