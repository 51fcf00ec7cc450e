"""Rules with a window under a minute: requests are spaced, and no window has too many."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from requests_iris.quota import Quota, RateLimit

from ..support.clocks import StandingClock
from ..support.waiting import HUNG


class Server:
    """Answers 429 to a request beyond `limit` in a sliding window. Arrivals jitter."""

    def __init__(self, limit: int, window: float, jitter: float) -> None:
        self.limit, self.window, self.jitter = limit, window, jitter
        self.arrivals: deque[float] = deque()
        self.refused = self.accepted = 0
        self._lock = threading.Lock()

    def answer(self) -> None:
        time.sleep(random.uniform(0, self.jitter))  # the way to the server
        with self._lock:
            now = time.monotonic()
            while self.arrivals and self.arrivals[0] <= now - self.window:
                self.arrivals.popleft()
            if len(self.arrivals) >= self.limit:
                self.refused += 1
            else:
                self.arrivals.append(now)
                self.accepted += 1
        time.sleep(random.uniform(0, self.jitter) / 2)  # the way back


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_32_threads_get_no_429_from_a_server_with_a_sliding_window(
    kind: str, request: pytest.FixtureRequest
) -> None:
    limit, window, threads, requests = 25, 0.25, 32, 52
    place = "memory" if kind == "memory" else request.getfixturevalue("redis_url")
    rule = RateLimit("paced", limit, window, "/", per="customer")
    quotas = [Quota(place, limits=[rule]) for _ in range(2)]
    server, url = Server(limit, window, jitter=0.1), f"https://{uuid4().hex}.example/"

    def send(number: int) -> None:
        user = f"user:{number % 3}"
        reservation = quotas[number % 2].reserve(user, "GET", url)
        server.answer()
        reservation.settle()

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(send, number) for number in range(requests)]:
            done.result(HUNG)
    assert (server.accepted, server.refused) == (requests, 0)
    assert time.monotonic() - began >= (requests - 1) * window / limit * 0.9


def waits(quota: Quota, url: str, clock: StandingClock, count: int, latency: float) -> list[float]:
    found = []
    for _ in range(count):
        reservation = quota.reserve("user:alice", "GET", url, clock=clock)
        found.append(reservation.waited)
        clock.advance(latency)
        reservation.settle()
    return found


def test_requests_leave_evenly_and_a_slow_response_costs_no_wait(place: str) -> None:
    quota = Quota(place, limits=[RateLimit("paced", 5, 10, "/")])
    clock = StandingClock()
    quick = waits(quota, f"https://{uuid4().hex}.example/", clock, 4, 0.5)
    assert quick == pytest.approx([0, 1.5, 1.5, 1.5], abs=0.2)
    slow = waits(quota, f"https://{uuid4().hex}.example/", clock, 4, 5)
    assert slow == [0, 0, 0, 0]


def test_no_more_than_the_limit_is_on_its_way_at_once(place: str) -> None:
    """Each of these requests could arrive within the same moment."""
    quota = Quota(place, limits=[RateLimit("paced", 2, 2, "/")], max_wait=1.5)
    clock, url = StandingClock(), f"https://{uuid4().hex}.example/"
    first = quota.reserve("user:alice", "GET", url, clock=clock)
    quota.reserve("user:alice", "GET", url, clock=clock)
    with pytest.raises(Exception, match="paced"):
        quota.reserve("user:alice", "GET", url, clock=clock)
    first.settle()
    clock.advance(1)
    assert quota.reserve("user:alice", "GET", url, clock=clock).waited == pytest.approx(1, abs=0.2)


def test_places_in_a_long_queue_are_refused_beyond_max_wait(place: str) -> None:
    quota = Quota(place, limits=[RateLimit("paced", 1, 50, "/")], max_wait=40)
    clock, url = StandingClock(), f"https://{uuid4().hex}.example/"
    quota.reserve("user:alice", "GET", url, clock=clock).settle()
    with pytest.raises(Exception, match="paced") as caught:
        quota.reserve("user:alice", "GET", url, clock=clock)
    assert caught.value.retry_after == pytest.approx(50, abs=1)
    clock.advance(20)
    assert quota.reserve("user:alice", "GET", url, clock=clock).waited == pytest.approx(30, abs=1)


def test_users_of_a_process_share_the_pace_of_their_customer() -> None:
    limits = [
        RateLimit("customer", 1, 10, "/", per="customer"),
        RateLimit("user", 1, 5, "/"),
    ]
    clock, url = StandingClock(), f"https://{uuid4().hex}.example/"
    Quota("memory", limits=limits).reserve("user:a", "GET", url, clock=clock).settle()
    reservation = Quota("memory", limits=limits).reserve("user:b", "GET", url, clock=clock)
    assert reservation.waited == pytest.approx(10, abs=0.5)
