"""The clock of the sandbox: one movable clock for tokens and limits, and for a session, too."""

from __future__ import annotations

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, MovableClock, Sandbox

from .support.paths import ASSETS, GRAPHQL, QUERY
from .support.plain_client import PlainClient


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        client.sign_in()
        yield client


def test_a_session_with_the_same_clock_outlives_its_token_without_sleeping(sandbox) -> None:
    """The example of the docstring: the session renews before the API has to reject the token."""
    with IrisSession(**sandbox.settings, clock=sandbox.clock) as iris:
        iris.verify = sandbox.ca_file
        for hour in range(1, 4):
            assert iris.get(ASSETS).ok
            assert len(sandbox.issued) == hour
            sandbox.clock.advance(3600)
    assert [seen.kind for seen in sandbox.seen if seen.server == "token"] == [
        *("password", "refresh_token", "refresh_token")
    ]
    assert sandbox.count("api", status=401) == 0


def test_a_session_with_a_clock_of_its_own_is_cured_by_a_401(sandbox) -> None:
    with IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
        sandbox.clock.advance(3600)
        assert iris.get(ASSETS).ok
    assert sandbox.count("api", status=401) == 1
    assert sandbox.count("refresh_token") == 1


def test_one_clock_can_be_passed_to_two_sandboxes() -> None:
    clock = MovableClock()
    with Sandbox(clock=clock) as one, Sandbox(clock=clock) as other:
        assert one.clock is other.clock is clock
        clients = [PlainClient(one), PlainClient(other)]
        for client in clients:
            client.sign_in()
        clock.advance(3600)
        assert [client.get("/echo").status_code for client in clients] == [401, 401]
        for client in clients:
            client.close()


def test_a_token_expires_exactly_at_its_end() -> None:
    """With a clock that stands still."""
    clock = StoppedClock()
    with Sandbox(clock=clock, token_lifetime=10) as sandbox, PlainClient(sandbox) as client:
        assert client.sign_in()["expires_in"] == 10
        clock.advance(9.75)
        assert client.get("/echo").ok
        clock.advance(0.25)
        assert client.get("/echo").status_code == 401


def test_a_token_of_lifetime_0_is_accepted_for_a_minute(sandbox, client) -> None:
    sandbox.token_lifetime = 0
    client.sign_in()
    sandbox.clock.advance(30)
    assert client.get("/echo").ok
    sandbox.clock.advance(30)
    assert client.get("/echo").status_code == 401


@pytest.mark.parametrize("retry_after", ["seconds", "date"])
def test_a_limit_has_room_again_when_the_clock_says_so(sandbox, client, retry_after) -> None:
    sandbox.token_lifetime = 10**7
    client.sign_in()
    sandbox.limit(ASSETS, requests=2, per=86400, retry_after=retry_after)
    assert [client.get(ASSETS).status_code for _ in range(3)] == [200, 200, 429]
    sandbox.clock.advance(80000)
    response = client.get(ASSETS)
    assert response.status_code == 429
    if retry_after == "seconds":
        assert 6300 <= int(response.headers["Retry-After"]) <= 6400
    else:
        when = parsedate_to_datetime(response.headers["Retry-After"])
        now = datetime.fromtimestamp(sandbox.clock.time(), UTC)
        assert 6300 <= (when - now).total_seconds() <= 6401
    sandbox.clock.advance(6400)
    assert client.get(ASSETS).ok


def test_graphql_says_how_long_the_clock_must_move(sandbox, client) -> None:
    body = {"query": QUERY, "variables": {"first": 1}}
    sandbox.limit(GRAPHQL, requests=1, per=600)
    client.post(GRAPHQL, json=body)
    sandbox.clock.advance(500)
    (error,) = client.post(GRAPHQL, json=body).json()["errors"]
    assert 60_000 < error["extensions"]["resetIn"] <= 100_000
    sandbox.clock.advance(error["extensions"]["resetIn"] / 1000)
    assert "errors" not in client.post(GRAPHQL, json=body).json()


def test_the_clock_moves_no_delay(sandbox, client) -> None:
    """A delay is a matter of the network, whose timeouts are real."""
    sandbox.inject(Fault(delay=0.3), on="foreign")
    started = time.monotonic()
    sandbox.clock.advance(10**6)
    assert client.get(sandbox.foreign_url).ok
    assert time.monotonic() - started >= 0.3


def test_a_movable_clock_is_the_systems_clock_until_it_is_moved() -> None:
    clock = MovableClock()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert time.time() - 1 <= clock.time() <= time.time() + 1
    clock.advance(0.5)
    clock.advance(99)
    assert time.monotonic() + 99.5 - 1 <= clock.monotonic() <= time.monotonic() + 99.5
    assert time.time() + 98 <= clock.time() <= time.time() + 101
    assert repr(clock) == "<MovableClock, 99.5 seconds ahead>"


def test_a_movable_clock_sleeps_by_moving() -> None:
    clock = MovableClock()
    started, before = time.monotonic(), clock.monotonic()
    clock.sleep(10**6)
    assert clock.monotonic() - before >= 10**6
    assert time.monotonic() - started < 1000


def test_no_move_of_many_threads_is_lost() -> None:
    clock = MovableClock()
    with ThreadPoolExecutor(16) as pool:
        for _ in range(2000):
            pool.submit(clock.advance, 1)
    assert repr(clock) == "<MovableClock, 2000 seconds ahead>"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda clock: pickle.loads(pickle.dumps(clock))]
)
def test_a_copied_clock_starts_with_the_same_time_and_moves_by_itself(copied) -> None:
    clock = MovableClock()
    clock.advance(5)
    twin = copied(clock)
    clock.advance(1)
    twin.advance(10)
    assert (clock.advanced, twin.advanced) == (6, 15)


def test_a_session_with_the_clock_of_a_sandbox_can_be_pickled(sandbox) -> None:
    with IrisSession(**sandbox.settings, clock=sandbox.clock) as iris:
        iris.verify = sandbox.ca_file
        with pickle.loads(pickle.dumps(iris)) as twin:
            assert twin.get(ASSETS).ok


class StoppedClock(MovableClock):
    """A clock that only `advance` moves."""

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()
        self._seconds = 0.0

    def advance(self, seconds: float) -> None:
        self._seconds += seconds

    def monotonic(self) -> float:
        return self._started + self._seconds
