"""The points of GraphQL: what a query costs, the limit for a query, and the limit for a window."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable

from ..clock import Clock
from . import checks
from .query import Field, QueryError

#: The published limits of IRIS: points per query, points per window, and the window in seconds.
QUERY_LIMIT = 50_000
WINDOW_LIMIT = 500_000
WINDOW = 600.0


class Points:
    """The limits of GraphQL. A test may set the three attributes at any time.

    query_limit: (int, default 50 000) The most points of a query. A query that costs more gets the
        error `QUERY_COMPLEXITY_REACHED`, with the numbers in the message.
    window_limit: (int, default 500 000) The most points of all queries in a window. The next query
        gets the error `RATE_LIMITED`, with `resetIn` in milliseconds. A refused query is free.
    window: (seconds, default 600) The length of a window. A window begins with its first query. The
        sandbox's clock measures the seconds.

    A field costs 1 point. The fields inside `edges` or `nodes` cost their points once per item,
    that is, `first` times. `rateLimit` costs nothing. Any unknown name raises an `AttributeError`.
    """

    # A misspelled attribute must not be set silently.
    __slots__ = ("_clock", "_ends", "_lock", "_used", "query_limit", "window", "window_limit")

    query_limit: int
    window_limit: int
    window: float

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards the window: requests come in many threads
        self._used = 0
        self._ends = -math.inf
        self.query_limit = QUERY_LIMIT
        self.window_limit = WINDOW_LIMIT
        self.window = WINDOW

    def __setattr__(self, name: str, value: object) -> None:
        if name not in (*_HABITS, *self.__slots__):
            raise AttributeError(f"The limits of GraphQL are {', '.join(_HABITS)}, not {name}.")
        object.__setattr__(self, name, _HABITS[name](value) if name in _HABITS else value)

    def spend(self, cost: int) -> dict[str, int]:
        """Counts a query. The result is the response to `rateLimit`.

        :raises QueryError: if the query exceeds a limit.
        """
        if cost > self.query_limit:
            raise QueryError(
                f"The query is too complex. The estimated complexity of the query is {cost}, which "
                f"is greater than the maximum allowed complexity limit of {self.query_limit}.",
                code="QUERY_COMPLEXITY_REACHED",
            )
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._ends:
                self._used, self._ends = 0, now + self.window
            reset_in = math.ceil(round((self._ends - now) * 1000, 3))
            if self._used + cost > self.window_limit:
                raise QueryError(
                    "The rate limit has been exceeded given the current estimated query "
                    f"complexity of {cost}. Please wait {reset_in} milliseconds before retrying.",
                    code="RATE_LIMITED",
                    cost=cost,
                    resetIn=reset_in,
                )
            self._used += cost
            remaining = self.window_limit - self._used
            return {"cost": cost, "remaining": remaining, "resetIn": reset_in}

    def reset(self) -> None:
        """The published limits, and a new window."""
        with self._lock:
            self._used, self._ends = 0, -math.inf
        self.query_limit, self.window_limit, self.window = QUERY_LIMIT, WINDOW_LIMIT, WINDOW


_HABITS: dict[str, Callable[[object], object]] = {
    "query_limit": lambda value: checks.whole_number("query_limit", value, least=0),
    "window_limit": lambda value: checks.whole_number("window_limit", value, least=0),
    "window": lambda value: checks.seconds("window", value, positive=True),
}


def cost_of(fields: Iterable[Field]) -> int:
    """The points of fields: 1 for each, and the points inside edges or nodes once per item."""
    return sum(map(_cost, fields))


def _cost(field: Field) -> int:
    if field.name == "rateLimit":
        return 0
    size = field.arguments.get("first", field.arguments.get("last"))
    items = size if type(size) is int else 1
    return 1 + sum(
        1 + items * cost_of(each.selection) if each.name in ("edges", "nodes") else _cost(each)
        for each in field.selection
    )
