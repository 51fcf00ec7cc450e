"""The clocks of the system, as one thing that can be handed in."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextvars import ContextVar

#: Set when nobody waits any more for what this thread does. It belongs to whoever started the
#: thread, and threads may share it: an Event is made for that.
given_up: ContextVar[threading.Event | None] = ContextVar("requests_iris_given_up", default=None)


def _sleep(seconds: float) -> None:
    """As :func:`time.sleep`.

    :raises CancelledError: at once when this thread's work is given up.
    """
    event = given_up.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise CancelledError("nobody waits for it any more")


class Clock:
    """The clocks of the system. A test hands in another."""

    # not by methods of our own: the time is asked for with each request
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(_sleep)
    time = staticmethod(time.time)
