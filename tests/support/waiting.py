"""Waiting for another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds after which a missing event counts as hung. A slow machine needs less.
HUNG = 60


def wait_until(done: Callable[[], bool]) -> None:
    """Return as soon as `done()` is true; fail after `HUNG` seconds."""
    ends = time.monotonic() + HUNG
    while not done():
        assert time.monotonic() < ends, "the event that the test waits for did not come"
        time.sleep(0.01)
