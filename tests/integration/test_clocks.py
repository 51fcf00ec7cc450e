"""Clocks that jump: the session goes on, by a renewal or by way of the 401."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from requests_iris import IrisSession, TokenResponseError
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.token_endpoint import Clock

HOUR, DAY = 3600.0, 86400.0


class JumpingClock(Clock):
    """The wall clock can be set; the monotonic one goes on, as it does."""

    def __init__(self) -> None:
        self.off = 0.0

    def time(self) -> float:
        return super().time() + self.off


@pytest.fixture
def wall(iris: IrisSession) -> JumpingClock:
    wall = JumpingClock()
    iris._source._clock = iris._source._endpoint._clock = wall
    return wall


def test_back_an_hour_an_expired_token_looks_fresh(iris, wall, sandbox: Sandbox) -> None:
    iris.get("/echo")
    wall.off = -HOUR
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 1)
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 1)


def test_forward_a_day_and_back_renews_once(iris, wall, sandbox: Sandbox) -> None:
    iris.get("/echo")
    wall.off = DAY
    sandbox.forget()
    for _ in range(3):
        assert iris.get("/echo").ok
    assert sandbox.count("token") == 1
    wall.off = 0
    assert iris.get("/echo").ok
    sandbox.expire_access_tokens()  # while it looks good for another day
    assert iris.get("/echo").ok
    assert sandbox.count("token") == 2


def test_a_sleep_through_the_expiry_renews_first(iris, wall, sandbox: Sandbox) -> None:
    """The monotonic clock of Linux stands still in a sleep: the wall clock is the one to ask."""
    iris.get("/echo")
    wall.off = 3 * HOUR
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


@pytest.mark.parametrize("off", [-DAY, DAY])
def test_a_server_a_day_off_makes_no_difference(iris, wall, sandbox: Sandbox, off) -> None:
    """Lifetimes are relative, so that only our own clock is asked."""
    wall.off = off
    for _ in range(3):
        assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


class StoppedClock(Clock):
    def time(self) -> float:
        return 1_000_000.0


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        *((901, nullcontext()), (900, nullcontext()), (61, nullcontext())),
        (60, pytest.raises(TokenResponseError)),
    ],
)
def test_each_age_begins_at_its_very_second(iris, sandbox: Sandbox, left: int, outcome) -> None:
    """An aging token is renewed, if it can be; a stale one is not used."""
    iris._source._clock = iris._source._endpoint._clock = StoppedClock()
    iris.token = {**iris.fetch_token(), "expires_in": 3600, "expires_at": 1_000_000 + left}
    sandbox.forget()
    sandbox.inject(Fault(status=404), on="token")
    with outcome:
        assert iris.get("/echo").ok
    assert sandbox.count("token") == (left < 901)
