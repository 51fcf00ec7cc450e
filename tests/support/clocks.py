"""A clock for tests: pauses are skipped, and the time can be moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from requests_iris.sandbox import MovableClock

from .waiting import wait_until


class SkippingClock(MovableClock):
    """The clock of a session under test. `skipped` is the skipped time in seconds."""

    @property
    def skipped(self) -> float:
        return self.advanced

    @skipped.setter
    def skipped(self, seconds: float) -> None:
        self.advance(seconds - self.advanced)


class StandingClock(SkippingClock):
    """A clock that only pauses and the test move: a slow machine changes no figure."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._start_monotonic = time.time(), time.monotonic()

    def time(self) -> float:
        return self._start + self.advanced

    def monotonic(self) -> float:
        return self._start_monotonic + self.advanced


@contextmanager
def advanced_after(
    begun: Callable[[], bool], clock: MovableClock, seconds: float
) -> Iterator[None]:
    """Advances `clock` by `seconds` as soon as `begun()` is true, while the block waits.

    So a deadline passes in the middle of a request, on a fast machine and on a slow machine.
    """
    over = threading.Event()

    def advance() -> None:
        wait_until(lambda: begun() or over.is_set())
        clock.advance(seconds)

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
