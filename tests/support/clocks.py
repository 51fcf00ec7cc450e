"""A clock for tests: pauses are skipped, and the time can be moved."""

from __future__ import annotations

from requests_iris.sandbox import MovableClock


class SkippingClock(MovableClock):
    """The clock of a session under test. `skipped` is the skipped time in seconds."""

    @property
    def skipped(self) -> float:
        return self.advanced

    @skipped.setter
    def skipped(self, seconds: float) -> None:
        self.advance(seconds - self.advanced)
