"""IRIS's published limits, enforced by the sandbox: a window per rule, user and key, and a pool.

The sandbox and the sessions share the table of rules, and no line of counting. So a test finds a
fault of either side.
"""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..clock import Clock
from ..quota import IRIS_RATE_LIMITS, RateLimit
from .limits import RetryAfter, TooMany, headers_of
from .server import Request

#: Seconds of a day. A slot of a pool comes back after whole days.
DAY = 86_400.0


class QuotaCount(NamedTuple):
    """The requests that one rule has judged.

    granted: Requests within the limit, including requests from the pool.
    from_pool: Requests granted by the pool.
    refused: Requests with a 429 because of the rule.
    """

    granted: int = 0
    from_pool: int = 0
    refused: int = 0


@dataclass
class _Allowance:
    """The arrivals for a rule, a user and a key: in the window, and in the pool."""

    rule: RateLimit
    window: deque[float] = field(default_factory=deque)
    pool: deque[float] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        """Drop the arrivals that count no more."""
        for times, seconds in ((self.window, self.rule.window), (self.pool, self._pool_seconds)):
            while times and times[0] + seconds <= now:
                times.popleft()

    @property
    def _pool_seconds(self) -> float:
        return self.rule.pool.days * DAY if self.rule.pool else 0.0

    @property
    def free_window(self) -> bool:
        return len(self.window) < self.rule.limit

    @property
    def free_pool(self) -> bool:
        return self.rule.pool is not None and len(self.pool) < self.rule.pool.size

    def wait(self, now: float) -> float:
        """Seconds until the next request may come: 0, or the first slot of window or pool."""
        if self.free_window or self.free_pool:
            return 0.0
        ends = [self.window[0] + self.rule.window] if self.window else []
        ends += [self.pool[0] + self._pool_seconds] if self.pool else []
        return min(ends) - now if ends else math.inf

    def take(self, now: float) -> bool:
        """Count an arrival. The result is whether the pool granted the request."""
        from_pool = not self.free_window
        (self.pool if from_pool else self.window).append(now)
        return from_pool


class Quotas:
    """Refuses the requests beyond `rules`. A refused request takes no slot.

    Threads may share the object: a lock guards each check.
    """

    def __init__(
        self, rules: Iterable[RateLimit], clock: Clock, retry_after: RetryAfter | None
    ) -> None:
        self._rules = [(rule, re.compile(rule.path)) for rule in rules]
        self._clock = clock
        self._retry_after = retry_after
        self._lock = threading.Lock()
        self._allowances: dict[tuple[str, str, str], _Allowance] = {}
        self._counts = {rule.name: QuotaCount() for rule, _ in self._rules}

    @property
    def counts(self) -> dict[str, QuotaCount]:
        with self._lock:
            return dict(self._counts)

    def check(self, request: Request, owner: str) -> None:
        """Count an arrival from the user `owner`, under every rule that matches.

        :raises TooMany: if any rule is used up.
        """
        with self._lock:
            now = self._clock.monotonic()
            matching = self._matching(request, owner)
            for allowance in matching:
                allowance.forget(now)
            refusing = [each for each in matching if each.wait(now)]
            if refusing:
                raise self._refused(max(refusing, key=lambda each: each.wait(now)), now)
            for allowance in matching:
                self._count(allowance.rule, granted=1, from_pool=allowance.take(now))

    def _matching(self, request: Request, owner: str) -> list[_Allowance]:
        found = []
        path = request.encoded_path.rstrip("/")
        for rule, pattern in self._rules:
            match = pattern.search(path) or pattern.search(f"{path}/")
            if match is not None and rule.method in (None, request.method):
                names = {"path": path, "page": request.args.get("page", "0")}
                key = rule.key.format(**{**match.groupdict(""), **names})
                # the user and the key of a sandbox belong to the same customer
                place = (rule.name, owner if rule.per == "user" else "", key)
                found.append(self._allowances.setdefault(place, _Allowance(rule)))
        return found

    def _refused(self, allowance: _Allowance, now: float) -> TooMany:
        rule, wait = allowance.rule, allowance.wait(now)
        self._count(rule, refused=1)
        message = f"{rule.name}: at most {rule.limit} requests in {rule.window:g} seconds."
        headers = headers_of(self._retry_after, wait, self._clock.time())
        return TooMany(message, wait=wait, headers=headers)

    def _count(self, rule: RateLimit, **more: int) -> None:
        before = self._counts[rule.name]
        added = {name: getattr(before, name) + number for name, number in more.items()}
        self._counts[rule.name] = before._replace(**added)


def rules_of(quotas: bool | Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    """The rules for the argument `quotas`: True means the table of IRIS, False no rules.

    :raises TypeError: for any other value.
    """
    if isinstance(quotas, bool):
        return IRIS_RATE_LIMITS if quotas else ()
    rules = tuple(quotas) if isinstance(quotas, Iterable) and not isinstance(quotas, str) else None
    if rules is None or not all(isinstance(each, RateLimit) for each in rules):
        raise TypeError(f"quotas must be True, False or a list of RateLimit, not {quotas!r}.")
    return rules
