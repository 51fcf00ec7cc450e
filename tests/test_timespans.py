"""Windows of time: half-open, in UTC, of real length, and without a gap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from requests_iris import windows

UTC = UTC
DAY = timedelta(days=1)
NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")

moments = st.datetimes(
    datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.sampled_from([UTC, COPENHAGEN])
)
#: Up to some hundred windows in each example.
steps = st.timedeltas(timedelta(days=30), timedelta(days=20_000))
lookbacks = st.none() | st.timedeltas(timedelta(0), timedelta(days=400))


@given(moments, moments, steps, lookbacks)
@example(NEW_YEAR, NEW_YEAR + 28 * DAY, 14 * DAY, None)
@example(NEW_YEAR, NEW_YEAR, 14 * DAY, DAY)
@example(NEW_YEAR, NEW_YEAR + DAY, timedelta.max, None)
def test_windows_cover_the_time_exactly_from_since_minus_lookback_to_until(
    since: datetime, until: datetime, step: timedelta, lookback: timedelta | None
) -> None:
    found = list(windows(since, until, step=step, lookback=lookback))
    start, end = since.astimezone(UTC) - (lookback or timedelta(0)), until.astimezone(UTC)
    if start >= end:
        assert found == []
        return
    assert (found[0][0], found[-1][1]) == (start, end)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(stop - begin == step for begin, stop in found[:-1])
    assert timedelta(0) < found[-1][1] - found[-1][0] <= step
    assert {each.tzinfo for pair in found for each in pair} == {UTC}
    assert {type(each) for pair in found for each in pair} == {datetime}


def test_fourteen_local_days_in_autumn_are_two_windows_of_real_time() -> None:
    since = datetime(2025, 10, 20, tzinfo=COPENHAGEN)
    until = datetime(2025, 11, 3, tzinfo=COPENHAGEN)
    lengths = [end - start for start, end in windows(since, until, step=14 * DAY)]
    assert lengths == [14 * DAY, timedelta(hours=1)]


def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_fold() -> None:
    first = datetime(2025, 10, 26, 2, 30, tzinfo=COPENHAGEN)
    second = first.replace(fold=1)
    assert list(windows(first, second, step=DAY)) == [
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC))
    ]
    assert list(windows(second, first, step=DAY)) == []


@pytest.mark.parametrize(
    ("since_day", "until_day", "back_days", "starts"),
    [(5, 5, None, []), (6, 5, None, []), (5, 5, 1, [4]), (6, 5, 1, []), (6, 5, 2, [4])],
)
def test_lookback_moves_since_and_never_until(since_day, until_day, back_days, starts) -> None:
    since, until = (datetime(2025, 1, day, tzinfo=UTC) for day in (since_day, until_day))
    back = None if back_days is None else back_days * DAY
    found = list(windows(since, until, step=DAY, lookback=back))
    assert [start.day for start, _ in found] == starts
    assert all(end == until for _, end in found)


def test_windows_reach_the_first_and_the_last_moment_of_python() -> None:
    first, last = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
    assert list(windows(first, last, step=timedelta.max)) == [(first, last)]
    *_, end = windows(last - 3 * DAY, last, step=2 * DAY)
    assert end == (last - DAY, last)
    *_, end = windows(first, first + 3 * DAY, step=2 * DAY)
    assert end == (first + 2 * DAY, first + 3 * DAY)


class NoOffset(tzinfo):
    """A time zone without an offset: Python calls such a datetime naive."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None


REFUSED: list[tuple[str, object, type[Exception], str]] = [
    ("since", datetime(2025, 1, 1), ValueError, "since has no time zone"),
    ("until", datetime(2025, 1, 1, tzinfo=NoOffset()), ValueError, "until has no time zone"),
    ("since", date(2025, 1, 1), TypeError, "since must be a datetime with a time zone"),
    ("until", "2025-01-01T00:00:00Z", TypeError, "until must be a datetime"),
    ("since", None, TypeError, "since must be a datetime"),
    ("until", 1735689600, TypeError, "until must be a datetime"),
    ("step", timedelta(0), ValueError, "step must be more than 0"),
    ("step", -DAY, ValueError, "step must be more than 0"),
    ("step", 14, TypeError, "step must be a timedelta, not 14. Pass timedelta"),
    ("step", None, TypeError, "step must be a timedelta"),
    ("lookback", -DAY, ValueError, "lookback must be 0 or more"),
    ("lookback", 6, TypeError, "lookback must be a timedelta"),
    ("lookback", timedelta.max, ValueError, "lookback is too long"),
    (
        "since",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
        ValueError,
        "since is outside of the years 1 to 9999",
    ),
    (
        "until",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
        ValueError,
        "until is outside of the years 1 to 9999",
    ),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_wrong_argument_of_windows_is_refused_at_the_call(name, value, kind, message) -> None:
    arguments = {"since": NEW_YEAR, "until": NEW_YEAR + DAY, "step": DAY, name: value}
    with pytest.raises(kind, match=message):
        windows(arguments.pop("since"), arguments.pop("until"), **arguments)


class Stamp(datetime):
    """A subclass without plain arithmetic, such as the classes of pandas and pendulum."""

    def __add__(self, other: object) -> datetime:
        raise AssertionError

    __sub__ = __add__


def test_windows_of_a_datetime_subclass_are_plain_datetimes() -> None:
    since, until = Stamp(2025, 1, 1, tzinfo=UTC), Stamp(2025, 1, 3, tzinfo=COPENHAGEN)
    found = list(windows(since, until, step=DAY))
    assert found == [(NEW_YEAR, NEW_YEAR + DAY), (NEW_YEAR + DAY, NEW_YEAR + timedelta(hours=47))]
    assert {type(each) for pair in found for each in pair} == {datetime}


def test_windows_are_a_lazy_generator() -> None:
    forever = windows(NEW_YEAR, datetime.max.replace(tzinfo=UTC), step=timedelta(microseconds=1))
    assert next(forever)[0] == NEW_YEAR
    forever.close()
