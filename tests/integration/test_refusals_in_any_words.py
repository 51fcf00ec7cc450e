"""A refusal is a refusal in whatever words: tables of status, body and error."""

from __future__ import annotations

import pytest

from requests_iris import (
    InvalidClientError,
    InvalidGrantError,
    InvalidScopeError,
    IrisSession,
    TokenRefusedError,
    TokenResponseError,
)
from requests_iris.sandbox import Fault

#: More requests than any test sends.
ALWAYS = 10**6
#: The shape of IRIS' own error objects.
IRIS = {"status": 400, "code": "invalid_token", "message": "no"}
REFUSED = [
    *((status, {}, TokenRefusedError) for status in (400, 401, 402, 403, 406, 409, 418, 422)),
    *((status, IRIS, TokenRefusedError) for status in (400, 401, 403, 451)),
    *((status, {"error": "access_denied"}, TokenRefusedError) for status in (400, 403)),
    *((status, {"error": "invalid_grant"}, InvalidGrantError) for status in (400, 401, 404)),
    *((status, {"error": "invalid_client"}, InvalidClientError) for status in (400, 401, 429)),
    *((status, {"error": "invalid_scope"}, InvalidScopeError) for status in (400, 407, 425)),
    (410, {"error": "invalid_token"}, TokenRefusedError),
    (200, {"error": "invalid_grant"}, InvalidGrantError),
]
NOT_REFUSED = [
    *((status, {}) for status in (404, 405, 407, 408, 410, 421, 425, 429, 500, 503, 301, 200)),
    *((status, {"code": "invalid_token"}) for status in (404, 429)),
    *((400, {"error": error}) for error in ("temporarily_unavailable", "slow_down")),
    *((status, {"error": "server_error"}) for status in (400, 401, 403, 500)),
    (503, {"error": "invalid_grant"}),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED)
def test_a_refused_password_is_sent_once_a_minute(iris, sandbox, clock, status, body, kind) -> None:
    sandbox.inject(Fault(status=status, body=body), on="token", times=ALWAYS)
    for _ in range(20):
        with pytest.raises(TokenRefusedError) as caught:
            iris.get("/echo")
        assert type(caught.value) is kind
        assert caught.value.error == body.get("error")
    assert sandbox.count("token") == 1
    clock.sleep(61)
    sandbox.clear_faults()
    assert iris.get("/echo").ok


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED)
def test_a_refused_refresh_token_leads_to_the_password(iris, sandbox, status, body, kind) -> None:
    iris.get("/echo")
    sandbox.expire_access_tokens()
    sandbox.inject(Fault(status=status, body=body), on="token")
    if kind is InvalidClientError:  # the password would be sent by the same client
        with pytest.raises(InvalidClientError):
            iris.get("/echo")
    else:
        assert iris.get("/echo").ok
        assert iris.counters["password"] == 2


@pytest.mark.parametrize(("status", "body"), NOT_REFUSED)
def test_a_response_about_something_else_never_leads_to_the_password(
    iris, sandbox, status, body
) -> None:
    iris.get("/echo")
    sandbox.expire_access_tokens()
    sandbox.inject(Fault(status=status, body=body), on="token", times=ALWAYS)
    with pytest.raises(TokenResponseError):
        iris.get("/echo")
    assert iris.counters["password"] == 1
    sandbox.clear_faults()
    assert iris.get("/echo").ok
    assert iris.counters["password"] == 1


@pytest.mark.parametrize("token_type", [None, "", "bearer", "BEARER"])
def test_a_token_type_that_is_missing_null_or_empty_is_bearer(iris, sandbox, token_type) -> None:
    sandbox.inject(Fault(reply={"token_type": token_type}), on="token")
    assert iris.get("/echo").ok


def test_a_refused_refresh_token_does_not_survive_a_restart(sandbox, tmp_path) -> None:
    """The stored token has a refresh token that the endpoint refuses in IRIS' own words."""
    store = tmp_path / "token.json"
    for _ in range(2):
        with IrisSession(**sandbox.settings, token_store=store) as iris:
            iris.verify = sandbox.ca_file
            sandbox.expire_access_tokens()
            if iris.counters["tokens"]:
                sandbox.inject(Fault(status=400, body=IRIS), on="token")
            assert iris.get("/echo").ok
