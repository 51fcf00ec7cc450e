"""The clocks of the system, in an object that a test can replace."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import CancelledError
from contextvars import ContextVar


class Interrupt(threading.Event):
    """An event to end the pauses of threads. Setting an Interrupt also sets the branches.

    Threads may share an Interrupt: a lock guards the list of the branches.

    :param trunk: the Interrupt with the new Interrupt as a branch, or None.
    """

    def __init__(self, trunk: threading.Event | None = None) -> None:
        super().__init__()
        self._branches: list[weakref.ref[Interrupt]] = []
        self._growing = threading.Lock()
        if isinstance(trunk, Interrupt):
            trunk._grow(self)

    def _grow(self, branch: Interrupt) -> None:
        with self._growing:
            living = [each for each in self._branches if each() is not None]
            self._branches = [*living, weakref.ref(branch)]
        if self.is_set():
            branch.set()

    def set(self) -> None:
        super().set()
        with self._growing:
            branches = [each() for each in self._branches]
        for branch in branches:
            if branch is not None:
                branch.set()


#: Set when the work of this thread is no longer needed, for example after a walk was closed. The
#: code that starts a thread owns the event. Threads may share an Event.
given_up: ContextVar[threading.Event | None] = ContextVar("requests_iris_given_up", default=None)


def _sleep(seconds: float) -> None:
    """Sleeps as :func:`time.sleep`, until :data:`given_up` is set.

    :raises CancelledError: as soon as the event is set.
    """
    event = given_up.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise CancelledError("The work of the thread is no longer needed.")


class Clock:
    """The clocks of the system. Each method is a function of the module :mod:`time`.

    :cvar look_again: seconds after which a waiting thread looks at the clock again. An interrupt
        can swallow the wake-up of a thread, and a test can move a clock.
    """

    look_again = 0.5

    # functions instead of methods, because each request asks for the time
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(_sleep)
    time = staticmethod(time.time)
