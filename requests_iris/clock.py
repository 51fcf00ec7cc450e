"""The clocks of the system, as one thing that can be handed in."""

from __future__ import annotations

import time


class Clock:
    """The clocks of the system. A test hands in another."""

    # not by methods of our own: the time is asked for with each request
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    time = staticmethod(time.time)
