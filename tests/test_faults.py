"""Faults at the token endpoint: what the caller sees, how often is asked, how it goes on."""

from __future__ import annotations

import pytest

from requests_iris import IrisSession, TokenError, TokenReplyError, TokenUnreachableError
from requests_iris.sandbox import Fault, Sandbox

from .conftest import SkippingClock

GARBAGE = "\x00<{[" * 250_000

#: fault, the error it becomes, how many token requests that takes, whether it may pass
FAULTS = {
    "500": (Fault(status=500, body="oops"), TokenReplyError, 3, True),
    "502": (Fault(status=502, body=""), TokenReplyError, 3, True),
    "503 with HTML": (Fault(status=503, body="<html>Sorry</html>"), TokenReplyError, 3, True),
    "503 with an OAuth error": (
        Fault(status=503, body='{"error": "temporarily_unavailable"}'),
        TokenReplyError,
        3,
        True,
    ),
    "429": (Fault(status=429, body="{}"), TokenReplyError, 3, True),
    "429, come soon": (
        Fault(status=429, body="{}", headers={"Retry-After": "2"}),
        TokenReplyError,
        3,
        True,
    ),
    "429, come late": (
        Fault(status=429, body="{}", headers={"Retry-After": "60"}),
        TokenReplyError,
        1,
        True,
    ),
    "429, come some day": (
        Fault(status=429, body="{}", headers={"Retry-After": "soon"}),
        TokenReplyError,
        3,
        True,
    ),
    "404": (Fault(status=404, body="<html>Not here</html>"), TokenReplyError, 1, False),
    "400 without an error": (Fault(status=400, body="no"), TokenReplyError, 1, False),
    "empty body": (Fault(status=200, body=""), TokenReplyError, 1, False),
    "JSON, but no object": (Fault(status=200, body="[1]"), TokenReplyError, 1, False),
    "an object, but no token": (Fault(status=200, body="{}"), TokenReplyError, 1, False),
    "garbage": (Fault(status=200, body=GARBAGE), TokenReplyError, 1, False),
    "redirect": (Fault(status=302, redirect="https://127.0.0.1:9/"), TokenReplyError, 1, False),
    "truncated": (Fault(truncate=20), TokenUnreachableError, 3, True),
    "closed before the work": (Fault(drop="before"), TokenUnreachableError, 3, True),
    "closed after the work": (Fault(drop="after"), TokenUnreachableError, 3, True),
    "a hang": (Fault(delay=30), TokenUnreachableError, 1, True),
    "a trickle": (Fault(trickle=0.1), TokenUnreachableError, 1, True),
}

each_fault = pytest.mark.parametrize(
    ("fault", "kind", "asked", "retryable"), FAULTS.values(), ids=FAULTS
)


@pytest.fixture(autouse=True)
def _short_budget(iris: IrisSession, clock: SkippingClock, request) -> None:
    if request.node.callspec.id in ("a hang", "a trickle"):
        iris._source._budget = 0.6


@each_fault
def test_at_the_first_sign_in(iris, sandbox: Sandbox, fault, kind, asked, retryable) -> None:
    sandbox.inject(fault, on="token", times=9)
    with pytest.raises(TokenError) as caught:
        iris.get("/echo")
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable
    assert sandbox.count("token") == asked
    assert sandbox.count("api") == 0
    assert not iris.authorized
    sandbox.clear_faults()
    assert iris.get("/echo").ok


@each_fault
def test_when_stale(iris, sandbox: Sandbox, clock, fault, kind, asked, retryable) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.forget()
    sandbox.inject(fault, on="token", times=9)
    with pytest.raises(TokenError) as caught:
        iris.get("/echo")
    assert type(caught.value) is kind
    # a refresh token that was used up by a lost reply leads to the password, which is lost too
    assert sandbox.count("token") <= 6
    assert sandbox.count("token") == asked or fault.drop == "after" or fault.truncate
    assert sandbox.count("api") == 0
    sandbox.clear_faults()
    assert iris.get("/echo").ok


@each_fault
def test_while_aging(iris, sandbox: Sandbox, clock, fault, kind, asked, retryable) -> None:
    """Nobody hears of it: the token lives. It is tried again when the pause is over."""
    iris.get("/echo")
    clock.sleep(3000)
    before = iris.token
    sandbox.forget()
    sandbox.inject(fault, on="token", times=9)
    assert iris.get("/echo").ok
    assert iris.get("/echo").ok
    assert sandbox.count("token") <= 6
    assert iris.token == before
    sandbox.clear_faults()
    clock.sleep(40)
    assert iris.get("/echo").ok
    assert iris.token["expires_at"] > before["expires_at"]
