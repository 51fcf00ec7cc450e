"""One thread works, and the other threads wait for the result.

An exception from outside (Ctrl-C, a time limit) can strike a thread between any two steps. Inside
`threading.Event` and `concurrent.futures.Future`, the exception leaves an inner lock locked for
ever. Nothing here depends on such a lock: each state is an attribute, set in a single step, and
each wait has a bound.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Generic, TypeVar

from .clock import Clock

Result = TypeVar("Result")

# A context variable and not a thread id: a part of the leader's work runs in a second thread.
_led: ContextVar[Flight[object] | None] = ContextVar("requests_iris_flight", default=None)


class Signal:
    """An event. Threads may share a Signal: `done` changes only once, to true."""

    def __init__(self) -> None:
        self.done = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def wake(self) -> None:
        """Wakes the waiting threads. The caller has set `done`."""
        with suppress(RuntimeError):  # the gate is open already
            self._gate.release()

    def wait(self, clock: Clock, deadline: float) -> bool:
        """Waits until `done`, at most until `deadline` on the monotonic clock. Returns `done`."""
        while not self.done:
            left = deadline - clock.monotonic()
            if left <= 0:
                return False
            if self._gate.acquire(timeout=min(left, clock.look_again)):
                self.wake()  # the next thread
        return True


class Flight(Generic[Result]):
    """The work of a leading thread. `result` and `error` are set before `settled`.

    :ivar deadline: when the work ends at the latest, on the monotonic clock.
    :ivar settled: the result or the error is known. After an interrupt, both are None.
    :ivar ended: the leader has finished everything, and a different thread can lead.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.result: Result | None = None
        self.error: Exception | None = None
        self.settled = Signal()
        self.ended = Signal()

    @property
    def is_own(self) -> bool:
        """Whether the current code runs inside the leader's work."""
        return _led.get() is self

    def settle(self, result: Result) -> None:
        """Hands the result to the waiting threads. The leader may still have work to do."""
        self.result = result
        self.settled.done = True
        self.settled.wake()


class SingleFlight(Generic[Result]):
    """At most one flight at a time. Threads may share this: `_guard` covers a change of leader."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """In a forked child, the leader of the parent does not exist."""
        self._guard = threading.Lock()
        self._flight: Flight[Result] | None = None

    @property
    def current(self) -> Flight[Result] | None:
        flight = self._flight
        return None if flight is None or flight.ended.done else flight

    def lead(
        self,
        work: Callable[[Flight[Result]], object],
        *,
        seconds: float,
        still_needed: Callable[[], bool],
        shared: tuple[type[Exception], ...],
    ) -> Flight[Result] | None:
        """Does `work` as the leader. Returns None if a different thread leads, or was faster.

        :param seconds: the longest time for `work`.
        :param still_needed: asked when no other thread can become the leader any more.
        :param shared: errors of `work` for the waiting threads, too. Any other exception concerns
            this thread only, and a waiting thread becomes the leader.
        """
        flight: Flight[Result] = Flight(self._clock.monotonic() + seconds)
        before = _led.get()
        try:
            with self._guard:
                if self.current is not None or not still_needed():
                    return None
                self._flight = flight
            _led.set(flight)  # type: ignore[arg-type]
            work(flight)
        except shared as error:
            # a copy without the traceback, whose frames would hold the flight for ever
            flight.error = None if flight.settled.done else copy.copy(error)
            raise
        finally:
            # the first step of the block: no interrupt can come before this assignment
            flight.settled.done = flight.ended.done = True
            flight.settled.wake()
            flight.ended.wake()
            _led.set(before)
        return flight
