"""A Retry-After of the token endpoint: waited for if short, and obeyed by everybody if long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from requests_iris import IrisSession, TokenResponseError
from requests_iris.sandbox import Fault

#: More requests than any test sends.
ALWAYS = 10**6


@pytest.mark.parametrize("ask", [None, IrisSession.fetch_token, IrisSession.refresh_token])
@pytest.mark.parametrize(("seconds", "lasts"), [(60, 60), (899, 899), (3600, 900), (10**9, 900)])
def test_every_call_obeys_a_long_retry_after(
    iris, sandbox, clock, seconds, lasts, ask: Callable | None
) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.forget()
    fault = Fault(status=429, headers={"Retry-After": str(seconds)}, body={})
    sandbox.inject(fault, on="token", times=ALWAYS)
    ask = ask or (lambda iris: iris.get("/echo"))
    for _ in range(50):
        with pytest.raises(TokenResponseError) as caught:
            ask(iris)
        assert caught.value.retry_after > 0
        assert caught.value.response.status_code == 429
    assert sandbox.count("token") == 1
    clock.sleep(lasts - 5)
    with pytest.raises(TokenResponseError):
        ask(iris)
    assert sandbox.count("token") == 1
    clock.sleep(10)
    sandbox.clear_faults()
    assert iris.get("/echo").ok


def test_a_token_request_waits_for_a_short_retry_after(iris, sandbox, clock) -> None:
    fault = Fault(status=503, headers={"Retry-After": "20"}, body={})
    sandbox.inject(fault, on="token")
    assert iris.get("/echo").ok
    assert 20 <= clock.skipped < 25


def test_a_retry_after_holds_for_a_token_that_is_assigned(iris, sandbox) -> None:
    saved = iris.fetch_token()
    fault = Fault(status=503, headers={"Retry-After": "60"}, body={})
    sandbox.inject(fault, on="token", times=ALWAYS)
    with pytest.raises(TokenResponseError):
        iris.fetch_token()
    iris.token = {**saved, "expires_at": 0}
    sandbox.forget()
    with pytest.raises(TokenResponseError):
        iris.get("/echo")
    assert sandbox.count("token") == 0
