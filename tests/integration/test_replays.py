"""Replays at the edges."""

from __future__ import annotations

import pytest
from requests import PreparedRequest

from requests_iris import IrisSession, TokenResponseError
from requests_iris.sandbox import Fault, Sandbox


@pytest.mark.parametrize("stream", [True, False])
def test_one_whose_renewal_fails_gives_the_connection_of_the_401_back(
    iris: IrisSession, sandbox: Sandbox, stream: bool
) -> None:
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    sandbox.inject(Fault(status=404), on="token")
    with pytest.raises(TokenResponseError):
        iris.get("/echo", stream=stream)
    assert iris.get("/echo").ok
    assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 1


@pytest.mark.parametrize("headers", [True, False])
def test_a_request_put_together_by_hand_is_replayed(
    iris: IrisSession, sandbox: Sandbox, headers: bool
) -> None:
    """It has no jar of cookies, and perhaps no headers."""
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    request = PreparedRequest()
    request.prepare_method("GET")
    request.prepare_url(f"{sandbox.base_url}/echo", None)
    if headers:
        request.prepare_headers(None)
    response = iris.send(request)
    assert [each.status_code for each in (*response.history, response)] == [401, 200]


def test_a_request_of_the_callers_own_class_stays_one(iris: IrisSession, sandbox: Sandbox) -> None:
    class Mine(PreparedRequest):
        pass

    request = Mine()
    request.prepare("GET", f"{sandbox.base_url}/echo")
    assert type(iris.send(request).request) is Mine
