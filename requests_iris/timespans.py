"""Windows of time for exports, in UTC and of real length.

This module does no I/O and knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

#: A half-open window of time: the start belongs to the window, the end does not.
Window = tuple[datetime, datetime]


def windows(
    since: datetime, until: datetime, *, step: timedelta, lookback: timedelta | None = None
) -> Iterator[Window]:
    """Yields half-open windows ``(start, end)`` that cover the time from `since` to `until`.

    Each window begins where the window before ends. All windows are `step` long, except for the
    last window, which ends at `until`. Both times of a window are aware datetimes in UTC. Lengths
    are real time: 14 days are 336 hours, also if the clocks change on one of the days.

    The arguments are checked at the call. If `since` minus `lookback` is not before `until`, there
    is no window.

    :param since: the beginning, a datetime with a time zone.
    :param until: the end, a datetime with a time zone.
    :param step: the length of a window, more than 0.
    :param lookback: moves the beginning back, to read late data of an earlier run. Default: not at
        all.
    :raises ValueError: for a datetime without a time zone, for a `step` of 0 or less, for a
        negative `lookback`, and for a time outside of the years 1 to 9999.
    :raises TypeError: for an argument of any other type, such as a date or text.
    """
    step = _length("step", step)
    if step <= timedelta(0):
        raise ValueError(f"step must be more than 0, not {step}. Pass timedelta(days=14)")
    start, end = span(since, until, lookback)
    return _tiles(start, end, step)


def span(since: Any, until: Any, lookback: Any = None) -> Window:
    """The time from `since` minus `lookback` to `until`, in UTC.

    :raises ValueError, TypeError: as :func:`windows` does.
    """
    start, end = in_utc("since", since), in_utc("until", until)
    back = timedelta(0) if lookback is None else _length("lookback", lookback)
    if back < timedelta(0):
        raise ValueError(f"lookback must be 0 or more, not {back}. Pass timedelta(hours=6)")
    try:
        return start - back, end
    except OverflowError:
        raise ValueError(
            f"lookback is too long: since minus {back} is before the year 1. Pass a shorter time"
        ) from None


def in_utc(name: str, value: Any) -> datetime:
    """An aware datetime as a plain datetime in UTC.

    :param name: the name of the argument, for a message.
    :raises ValueError, TypeError: for any other value.
    """
    if not isinstance(value, datetime):
        raise TypeError(
            f"{name} must be a datetime with a time zone, not {value!r}. "
            "Pass datetime(2025, 1, 31, tzinfo=UTC)"
        )
    if value.utcoffset() is None:
        raise ValueError(
            f"{name} has no time zone: {value!r}. "
            f"Pass {name}.replace(tzinfo=UTC), or the time zone that you mean"
        )
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            f"{name} is outside of the years 1 to 9999 in UTC: {value!r}. Pass another time"
        ) from None
    # Subclasses such as pandas.Timestamp have an arithmetic of their own.
    date, time = (there.year, there.month, there.day), (there.hour, there.minute, there.second)
    return datetime(*date, *time, there.microsecond, tzinfo=UTC)


def text_of_time(time: datetime) -> str:
    """A time in UTC as IRIS spells times: ISO 8601 with a Z."""
    return time.isoformat().replace("+00:00", "Z")


def _length(name: str, value: Any) -> timedelta:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, not {value!r}. Pass timedelta(days=14)")
    return timedelta(value.days, value.seconds, value.microseconds)


def _tiles(start: datetime, end: datetime, step: timedelta) -> Iterator[Window]:
    while start < end:
        # Not by `start + step`, which may be after the year 9999.
        stop = end if end - start <= step else start + step
        yield start, stop
        start = stop
