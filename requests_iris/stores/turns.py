"""Taking turns at a lock that others ask for at intervals."""

from __future__ import annotations

import time


class Turns:
    """Stops a holder that locks again at once from starving the others.

    A lock that has no queue goes to whoever asks first. The others ask at intervals, so a holder
    that releases and locks again would win each time. Therefore it pauses first, for longer than
    the others' interval. Threads may share this object: the worst case is one short pause more.

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
        if 0 < left <= self._pause:  # more is the clock of another machine, from a pickle
            time.sleep(left)
