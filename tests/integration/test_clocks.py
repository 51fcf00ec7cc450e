"""Clocks that jump: the session renews in time, or after a 401."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from requests_iris import Clock, IrisSession, TokenResponseError
from requests_iris.sandbox import Fault, Sandbox

HOUR, DAY = 3600.0, 86400.0


class JumpingClock(Clock):
    """The wall clock can be set; the monotonic clock continues."""

    def __init__(self) -> None:
        self.off = 0.0

    def time(self) -> float:
        return super().time() + self.off


@pytest.fixture
def wall() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def iris(sandbox: Sandbox, wall: JumpingClock) -> Iterator[IrisSession]:
    with IrisSession(**sandbox.settings, clock=wall) as iris:
        iris.verify = sandbox.ca_file
        yield iris


def test_an_expired_token_that_looks_fresh_after_a_clock_change_is_renewed_after_its_401(
    iris, wall, sandbox: Sandbox
) -> None:
    iris.get("/echo")
    wall.off = -HOUR
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 1)
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 1)


def test_a_clock_that_jumps_a_day_and_back_renews_once(iris, wall, sandbox: Sandbox) -> None:
    iris.get("/echo")
    wall.off = DAY
    sandbox.forget()
    for _ in range(3):
        assert iris.get("/echo").ok
    assert sandbox.count("token") == 1
    wall.off = 0
    assert iris.get("/echo").ok
    sandbox.expire_access_tokens()  # while the token looks fresh for a further day
    assert iris.get("/echo").ok
    assert sandbox.count("token") == 2


def test_a_machine_that_slept_through_the_expiry_renews_first(iris, wall, sandbox: Sandbox) -> None:
    """The monotonic clock of Linux stands still in a sleep: the wall clock shows the sleep."""
    iris.get("/echo")
    wall.off = 3 * HOUR
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


@pytest.mark.parametrize("off", [-DAY, DAY])
def test_a_server_a_day_off_makes_no_difference(iris, wall, sandbox: Sandbox, off) -> None:
    """Lifetimes are relative, so only the clock of the session counts."""
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
def test_each_age_begins_at_its_very_second(sandbox: Sandbox, left: int, outcome) -> None:
    """An expiring token is renewed if possible, and an expired token is not used."""
    with IrisSession(**sandbox.settings, clock=StoppedClock()) as iris:
        iris.verify = sandbox.ca_file
        iris.token = {**iris.fetch_token(), "expires_in": 3600, "expires_at": 1_000_000 + left}
        sandbox.forget()
        sandbox.inject(Fault(status=404), on="token")
        with outcome:
            assert iris.get("/echo").ok
    assert sandbox.count("token") == (left < 901)
