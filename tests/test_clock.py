"""Pauses: they last as long as they should, but not when nobody waits for what comes after."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from requests_iris.clock import Clock, given_up


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Tells this thread that nobody waits any more."""
    over = threading.Event()
    before = given_up.set(over)
    yield over
    given_up.reset(before)


def test_a_pause_lasts_while_somebody_waits(over) -> None:
    start = time.monotonic()
    Clock().sleep(0.1)
    assert time.monotonic() - start > 0.09  # clocks tick by milliseconds


def test_no_pause_is_waited_out_and_nothing_done_after_it_when_nobody_waits(over) -> None:
    over.set()
    with pytest.raises(CancelledError):
        Clock().sleep(60)
