"""The clocks of the system, as one thing that can be handed in."""

from __future__ import annotations

import time


class Clock:
    """The clocks of the system. A test hands in another."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
