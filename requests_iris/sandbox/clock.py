"""A clock for tests to move: a token expires without a wait."""

from __future__ import annotations

import threading

from .. import forks
from ..clock import Clock
from .checks import seconds as check_seconds


class MovableClock(Clock):
    """The clocks of the system, set forward by `advance`.

    A sandbox has a clock of this class. A session can use the same clock, so that a test moves
    the time of both::

        with Sandbox() as sandbox:
            with IrisSession(**sandbox.settings, clock=sandbox.clock) as iris:
                iris.verify = sandbox.ca_file
                iris.get("/api/asset/v1/assets")
                sandbox.clock.advance(3600)         # the access token has expired
                iris.get("/api/asset/v1/assets")    # the session renews the token first

    A session with this clock does not pause: `sleep` sets the clock forward and returns at once.
    Threads may share a clock: a lock guards `advance`. A copied, pickled or forked clock starts at
    the same time, and is independent afterwards.

    :cvar look_again: a waiting thread sees the moved clock after this number of seconds.
    """

    look_again = 0.02

    def __init__(self) -> None:
        self._advanced = 0.0
        self.reset_after_fork()
        forks.register(self)

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self.reset_after_fork()
        forks.register(self)

    def __repr__(self) -> str:
        return f"<MovableClock, {self._advanced:g} seconds ahead>"

    @property
    def advanced(self) -> float:
        """How many seconds the clock is ahead of the system's."""
        return self._advanced

    def advance(self, seconds: float) -> None:
        """Set the clock forward.

        :param seconds: 0 or more; a clock never goes back.
        :raises TypeError, ValueError: for any other value.
        """
        check_seconds("seconds", seconds)
        with self._lock:
            self._advanced += seconds

    def monotonic(self) -> float:
        """The system's monotonic clock, in seconds, plus the time that the clock was advanced."""
        return super().monotonic() + self._advanced

    def time(self) -> float:
        """The system's time, in seconds since 1970, plus the time that the clock was advanced."""
        return super().time() + self._advanced

    def sleep(self, seconds: float) -> None:
        """Set the clock forward instead of waiting. As in `time.sleep`, `seconds` is 0 or more."""
        self.advance(seconds)
