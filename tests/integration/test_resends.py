"""Resends after a 401: bodies, connections, and responses that are discarded."""

from __future__ import annotations

import pytest
import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter

from requests_iris import IrisSession, TokenResponseError
from requests_iris.discard import MAX_BYTES
from requests_iris.sandbox import Fault, Sandbox


@pytest.mark.parametrize("stream", [True, False])
def test_a_resend_whose_renewal_fails_gives_the_connection_of_the_401_back(
    iris: IrisSession, sandbox: Sandbox, stream: bool
) -> None:
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    sandbox.inject(Fault(status=404), on="token")
    with pytest.raises(TokenResponseError):
        iris.get("/echo", stream=stream)
    assert iris.get("/echo").ok
    assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 1


@pytest.mark.parametrize("bearer", [True, False])
@pytest.mark.parametrize("size", [100, MAX_BYTES - 1, MAX_BYTES * 100])
def test_a_long_body_of_a_401_is_not_read_to_its_end(
    iris: IrisSession, sandbox: Sandbox, size: int, bearer: bool
) -> None:
    iris.get("/echo")
    sandbox.inject(Fault(status=401, body="x" * size), on="api")
    with requests.Session() as plain:
        session, auth = (plain, iris.bearer) if bearer else (iris, None)
        url = f"{sandbox.base_url}/echo"
        response = session.get(url, stream=True, auth=auth, verify=sandbox.ca_file)
        assert response.ok
        response.close()
    (rejected,) = response.history
    assert rejected.content == b"x" * min(size, MAX_BYTES)


@pytest.mark.parametrize("headers", [True, False])
def test_a_request_put_together_by_hand_is_resent(
    iris: IrisSession, sandbox: Sandbox, headers: bool
) -> None:
    """The request has no jar of cookies, and perhaps no headers."""
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    request = PreparedRequest()
    request.prepare_method("GET")
    request.prepare_url(f"{sandbox.base_url}/echo", None)
    if headers:
        request.prepare_headers(None)
    response = iris.send(request)
    assert [each.status_code for each in (*response.history, response)] == [401, 200]


def test_a_request_of_the_callers_own_class_stays_of_that_class(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    class Mine(PreparedRequest):
        pass

    request = Mine()
    request.prepare("GET", f"{sandbox.base_url}/echo")
    assert type(iris.send(request).request) is Mine


@pytest.mark.parametrize("status", [200, 302, 401])
def test_an_adapter_whose_responses_name_no_request_works_as_in_requests(
    iris: IrisSession, sandbox: Sandbox, status: int
) -> None:
    class Bare(BaseAdapter):
        def send(self, request, **_: object) -> requests.Response:
            response = requests.Response()
            response.status_code = status if request.url.endswith("/bare") else 200
            response.url, response._content = request.url, b""
            response.headers["Location"] = "/elsewhere"
            return response

        def close(self) -> None:
            """Nothing is open."""

    iris.fetch_token()
    iris.mount("https://", Bare())
    response = iris.get("/bare")
    assert response.status_code == (200 if status == 302 else status)
