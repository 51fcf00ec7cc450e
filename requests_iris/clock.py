"""The clocks of the system, in an object that a test can replace."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextvars import ContextVar

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
