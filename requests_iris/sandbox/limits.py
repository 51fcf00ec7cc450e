"""Limits of requests per time, each beginning of a path with its own."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Literal

from werkzeug.http import http_date

from .problems import Problem

#: The forms that Retry-After has in RFC 9110.
RetryAfter = Literal["seconds", "date"]


class TooMany(Problem):
    """One request too many; after `wait` seconds there is room again."""

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
        """Counts a request; how many seconds too early it comes, 0 if it does not."""
        while self.times and self.times[0] <= now - self.per:
            self.times.popleft()
        if len(self.times) < self.requests:
            self.times.append(now)
            return 0
        return self.times[0] + self.per - now if self.times else self.per

    def problem(self, wait: float) -> TooMany:
        message = f"At most {self.requests} requests in {self.per:g} seconds."
        return TooMany(message, wait=wait, headers=self._headers(wait))

    def _headers(self, wait: float) -> dict[str, str]:
        seconds = math.ceil(wait)
        if self.retry_after == "seconds":
            return {"Retry-After": str(seconds)}
        if self.retry_after == "date":
            # A date has no fractions: one second more, lest it names a time that is too early.
            when = datetime.now(timezone.utc) + timedelta(seconds=seconds + 1)
            return {"Retry-After": http_date(when)}
        return {}


class Limits:
    """None at first. The oldest one that fits a path holds for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[_Limit] = []

    def add(self, path: str, *, requests: int, per: float, retry_after: RetryAfter | None) -> None:
        with self._lock:
            self._limits.append(_Limit(path, requests, per, retry_after))

    def check(self, path: str) -> None:
        """Counts a request, and raises the 429 for one too many."""
        with self._lock:
            for limit in self._limits:
                if path.startswith(limit.path):
                    wait = limit.wait(time.monotonic())
                    if wait:
                        raise limit.problem(wait)
                    return
