"""The clocks of the system, as an object that a test can replace."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextvars import ContextVar

#: Set when nothing waits any more for the work of this thread, for example because its walk was
#: closed. The code that starts a thread owns the event. Threads may share an Event.
given_up: ContextVar[threading.Event | None] = ContextVar("requests_iris_given_up", default=None)


def _sleep(seconds: float) -> None:
    """As :func:`time.sleep`, but :data:`given_up` ends the pause.

    :raises CancelledError: as soon as the work of this thread is given up.
    """
    event = given_up.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise CancelledError("The work of this thread was given up.")


class Clock:
    """The clocks of the system. Each method is a function of the module :mod:`time`."""

    # no methods of their own, because each request asks for the time
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(_sleep)
    time = staticmethod(time.time)
