"""Limits of requests per time, each for its own beginning of paths."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from werkzeug.http import http_date

from ..clock import Clock
from .problems import Problem

#: The two formats of Retry-After in RFC 9110 section 10.2.3.
RetryAfter = Literal["seconds", "date"]


class TooMany(Problem):
    """The response when a limit is exceeded. After `wait` seconds the next request may come."""

    def __init__(self, message: str, *, wait: float, headers: dict[str, str]) -> None:
        super().__init__(429, "rate_limit_exceeded", message, headers=headers)
        self.wait = wait


@dataclass
class _Limit:
    path: str
    requests: int
    per: float
    retry_after: RetryAfter | None
    times: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Count a request. The result is 0, or the seconds by which the request came too early."""
        while self.times and self.times[0] <= now - self.per:
            self.times.popleft()
        if len(self.times) < self.requests:
            self.times.append(now)
            return 0
        return self.times[0] + self.per - now if self.times else self.per

    def problem(self, wait: float, now: float) -> TooMany:
        message = f"At most {self.requests} requests in {self.per:g} seconds."
        return TooMany(message, wait=wait, headers=self._headers(wait, now))

    def _headers(self, wait: float, now: float) -> dict[str, str]:
        seconds = math.ceil(wait)
        if self.retry_after == "seconds":
            return {"Retry-After": str(seconds)}
        if self.retry_after == "date":
            # A date has no fractions: without one second more, the date could be too early.
            when = datetime.fromtimestamp(now, UTC) + timedelta(seconds=seconds + 1)
            return {"Retry-After": http_date(when)}
        return {}


class Limits:
    """No limit at first. For a path, the first limit that fits counts. A lock guards the list."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limits: list[_Limit] = []

    def add(self, path: str, *, requests: int, per: float, retry_after: RetryAfter | None) -> None:
        with self._lock:
            self._limits.append(_Limit(path, requests, per, retry_after))

    def check(self, path: str) -> None:
        """Count a request.

        :raises TooMany: if the request exceeds a limit.
        """
        with self._lock:
            for limit in self._limits:
                if path.startswith(limit.path):
                    wait = limit.wait(self._clock.monotonic())
                    if wait:
                        raise limit.problem(wait, self._clock.time())
                    return
