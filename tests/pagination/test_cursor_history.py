"""The history of cursors notices every circle, and takes constant memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import count

import pytest

from requests_iris.cursor_history import EXACT, CursorHistory


def pages_until_noticed(tail: int, circle: int) -> int:
    """How many cursors come until a list that goes in a circle after `tail` cursors is noticed."""
    history = CursorHistory()
    for number in count():
        if number > 10 * (tail + circle + EXACT):
            raise AssertionError("never noticed")
        place = number if number < tail else tail + (number - tail) % circle
        if history.has_seen(f"cursor {place}"):
            return number
    raise AssertionError


@pytest.mark.parametrize("tail", [0, 1, 500, 3000])
@pytest.mark.parametrize("circle", [1, 2, 999, EXACT])
def test_a_circle_of_up_to_a_thousand_cursors_is_noticed_at_once(tail: int, circle: int) -> None:
    assert pages_until_noticed(tail, circle) == tail + circle


@pytest.mark.parametrize("tail", [0, 1, 1500, 5000])
@pytest.mark.parametrize("circle", [EXACT + 1, 1024, 2500, 10_000])
def test_a_longer_circle_is_noticed_within_three_rounds(tail: int, circle: int) -> None:
    assert pages_until_noticed(tail, circle) <= 3 * (tail + circle)


@pytest.mark.parametrize("name", [str, lambda n: -n, lambda n: n, lambda n: f"{n}="])
def test_different_cursors_are_no_circle(name: Callable[[int], object]) -> None:
    """-1 and -2 have equal hashes in Python."""
    history = CursorHistory()
    assert not any(history.has_seen(name(number)) for number in range(1, 5000))


def test_a_number_and_its_text_are_one_cursor() -> None:
    history = CursorHistory()
    assert [history.has_seen(5), history.has_seen("5")] == [False, True]


def test_a_million_cursors_take_no_more_memory_than_a_thousand() -> None:
    history = CursorHistory()
    tracemalloc.start()
    try:
        for number in range(2 * EXACT):
            history.has_seen(f"{number:040}")
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2 * EXACT, 50 * EXACT):
            history.has_seen(f"{number:040}")
        assert tracemalloc.get_traced_memory()[0] < 1.1 * before
    finally:
        tracemalloc.stop()
