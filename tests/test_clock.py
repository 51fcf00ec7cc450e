"""Pauses last as long as asked, and end early if the work of the thread is no longer needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from requests_iris.clock import Clock, given_up


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """The event that ends pauses of this thread."""
    over = threading.Event()
    before = given_up.set(over)
    yield over
    given_up.reset(before)


def test_pause_lasts_as_long_as_asked(over) -> None:
    start = time.monotonic()
    Clock().sleep(0.1)
    assert time.monotonic() - start > 0.09  # clocks tick by milliseconds


def test_pause_ends_at_once_if_the_work_is_no_longer_needed(over) -> None:
    over.set()
    with pytest.raises(CancelledError):
        Clock().sleep(60)
