"""Taking turns at a lock that has no queue."""

from __future__ import annotations

import time


class Turns:
    """Stops a process that renews back to back from starving waiting processes.

    A waiting process tries to lock at intervals. A holder that releases and locks again at once
    would win each time. Therefore the former holder pauses for longer than an interval.
    Threads may share a Turns object: the worst result of a race is a short pause.

    :param pause: seconds.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._ended = float("-inf")

    def ended(self) -> None:
        """Called after each release."""
        self._ended = time.monotonic()

    def wait(self) -> None:
        """Called before each attempt to lock."""
        left = self._ended + self._pause - time.monotonic()
        if 0 < left <= self._pause:  # a pickle may hold the clock of a different machine
            time.sleep(left)
