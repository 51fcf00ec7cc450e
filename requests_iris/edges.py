"""The items at the edges of windows: an item of two windows comes once.

IRIS counts both ends of a window in. So an item at the end of a window comes again at the start of
the next window. Two items are the same if both have the time of the edge and equal content. This
module does no I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .document import folded
from .timespans import Window, text_of_time

#: Names of the member with the time of an item, folded.
_TIMES = frozenset(("datetime", "timestamp", "time", "eventdatetime"))


@dataclass(frozen=True)
class Edges:
    """Digests of the items at both ends of a window.

    :ivar seen: items at the start from the window before, which have not come with this window.
    :ivar end: items at the end, handed out already.
    """

    seen: tuple[str, ...] = ()
    end: tuple[str, ...] = ()

    def next_window(self) -> Edges:
        """The edges before the first item of the next window."""
        return Edges(seen=self.end)


@dataclass(frozen=True)
class Sifted:
    """Facts about the items of a page, after the items that came before were left out.

    :ivar before: the edges before the page.
    :ivar size: the number of items of the page.
    :ivar kept: the numbers of the items to hand out.
    :ivar dropped: numbers and digests of the omitted items.
    :ivar at_end: numbers and digests of the items at the end of the window.
    """

    before: Edges
    size: int
    kept: Sequence[int]
    dropped: Sequence[tuple[int, str]]
    at_end: Sequence[tuple[int, str]]

    def read_after(self, done: int) -> int:
        """How many items of the page were read after `done` of the kept items."""
        if done >= len(self.kept):
            return self.size
        return self.kept[done - 1] + 1 if done else 0

    def edges_after(self, read: int) -> Edges:
        """The edges after `read` items of the page."""
        seen = Counter(self.before.seen) - Counter(_first(read, self.dropped))
        return Edges(tuple(seen.elements()), (*self.before.end, *_first(read, self.at_end)))


def sifted(
    items: list[Any], window: Window, before: Edges, *, is_last: bool
) -> tuple[list[Any], Sifted]:
    """The new items of a page, without the items from the window before, and facts about the page.

    :param is_last: whether no window follows.
    """
    start, end = window
    seen = Counter(before.seen)
    watched = {*([start] if seen else ()), *(() if is_last else [end])}
    times = _watched_times(items, watched) if watched else ()
    at_edge = [(n, time, digest_of(items[n])) for n, time in enumerate(times) if time in watched]
    dropped = []
    for n, time, digest in at_edge:
        if time == start and seen[digest]:
            seen[digest] -= 1
            dropped.append((n, digest))
    at_end = [(n, digest) for n, time, digest in at_edge if time == end]
    left_out = {n for n, _ in dropped}
    kept = [n for n in range(len(items)) if n not in left_out] if dropped else range(len(items))
    left = [items[n] for n in kept] if dropped else items
    return left, Sifted(before, len(items), kept, dropped, at_end)


def _watched_times(items: list[Any], watched: Iterable[datetime]) -> Iterator[datetime | None]:
    """The time of each item, or None if the time is unknown or not in `watched`.

    Times as IRIS spells the times are compared as text, which takes a tenth of the time.
    """
    texts = {text_of_time(time): time for time in watched}
    for item in items:
        text = item.get("datetime") if type(item) is dict else None
        if type(text) is str and len(text) == 20 and text[10] + text[19] == "TZ":
            yield texts.get(text)
        else:
            yield time_of(item)


def time_of(item: Any) -> datetime | None:
    """The time of an item in UTC; None for an item without a time in ISO 8601."""
    text = _time_in(item) if isinstance(item, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _time_in(item: Mapping[str, Any]) -> Any:
    if "datetime" in item:  # as IRIS spells the name
        return item["datetime"]
    return next((value for name, value in item.items() if folded(name) in _TIMES), None)


def digest_of(item: Any) -> str:
    """A hash of the content of an item."""
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]


def _first(read: int, found: Sequence[tuple[int, str]]) -> Iterator[str]:
    return (digest for number, digest in found if number < read)
