"""responses and requests-mock: tests that fake the API and the token endpoint, with no sandbox."""

from __future__ import annotations

import pytest
import requests_mock
import responses

from requests_iris import IrisSession, TokenRefusedError

API = "https://iris.trackunit.com/api/asset/v1/assets"
TOKEN = "https://auth.trackunit.com/token"
REPLY = {"access_token": "first", "token_type": "Bearer", "expires_in": 3600, "scope": "api"}
CREDENTIALS = {"client_id": "c", "client_secret": "s", "username": "u", "password": "p"}


@responses.activate
def test_responses_answers_the_token_call_and_the_api_call() -> None:
    responses.post(TOKEN, json=REPLY)
    responses.get(API, json={"content": [1]})
    with IrisSession(**CREDENTIALS) as iris:
        assert iris.get(API).json() == {"content": [1]}
    token_call, api_call = responses.calls
    assert "grant_type=password" in token_call.request.body
    assert api_call.request.headers["Authorization"] == "Bearer first"


@responses.activate
def test_responses_shows_a_401_and_its_resend() -> None:
    responses.post(TOKEN, json=REPLY)
    responses.post(TOKEN, json={**REPLY, "access_token": "second"})
    responses.get(API, status=401)
    responses.get(API, json={"content": [1]})
    with IrisSession(**CREDENTIALS) as iris:
        assert iris.get(API).ok
    sent = [c.request.headers["Authorization"] for c in responses.calls if c.request.url == API]
    assert sent == ["Bearer first", "Bearer second"]


@responses.activate
def test_responses_can_refuse_the_credentials() -> None:
    responses.post(TOKEN, status=400, json={"error": "invalid_grant"})
    with IrisSession(**CREDENTIALS) as iris, pytest.raises(TokenRefusedError):
        iris.get(API)
    assert len(responses.calls) == 1


def test_requests_mock_answers_the_token_call_and_the_api_call() -> None:
    with requests_mock.Mocker() as mock, IrisSession(**CREDENTIALS) as iris:
        mock.post(TOKEN, json=REPLY)
        api = mock.get(API, [{"status_code": 401}, {"json": {"content": [1]}}])
        assert iris.get(API).json() == {"content": [1]}
    assert api.call_count == 2
    assert api.last_request.headers["Authorization"] == "Bearer first"


def test_requests_mock_can_let_the_renewal_after_a_401_through_to_a_real_server(sandbox) -> None:
    """requests-mock locks `send` for the thread of the mocked request."""
    with IrisSession(**sandbox.settings) as iris, requests_mock.Mocker(real_http=True) as mock:
        iris.verify, iris.trust_env = sandbox.ca_file, False
        url = f"{sandbox.base_url}/api/asset/v1/assets"
        mock.get(url, [{"status_code": 401}, {"json": {"content": [1]}}])
        assert iris.get(url).json() == {"content": [1]}
    assert sandbox.count("token", 200) == 2


def test_requests_mock_works_as_an_adapter_of_the_session() -> None:
    """Nothing but this session is faked, and a scheme of the test's own gets no token."""
    adapter = requests_mock.Adapter()
    adapter.register_uri("POST", TOKEN, json=REPLY)
    adapter.register_uri("GET", API, json={"content": [1]})
    adapter.register_uri("GET", "mock://files/list", text="a file")
    with IrisSession(**CREDENTIALS) as iris:
        iris.mount("https://", adapter)
        iris.mount("mock://", adapter)
        assert iris.get("/api/asset/v1/assets").json() == {"content": [1]}
        assert iris.get("mock://files/list").text == "a file"
    assert "Authorization" not in adapter.last_request.headers


def test_a_fixed_token_needs_no_token_endpoint() -> None:
    with requests_mock.Mocker() as mock, IrisSession(token={"access_token": "fixed"}) as iris:
        mock.get(API, request_headers={"Authorization": "Bearer fixed"}, json={})
        assert iris.get(API).ok
        with pytest.raises(requests_mock.NoMockAddress):  # what the test did not expect
            iris.get("/api/other")


def test_requests_mock_of_one_session_answers_its_token_request_too() -> None:
    with IrisSession() as iris, requests_mock.Mocker(session=iris) as mock:
        mock.get(API, json={"content": [1]})
        assert iris.get(API).json() == {"content": [1]}
    assert "Authorization" not in mock.last_request.headers


MOVED = "https://iris.trackunit.com/api/moved"
AWAY = {"status_code": 302, "headers": {"Location": API}}


@pytest.mark.parametrize("moved", [MOVED, "https://other.example/moved"])
def test_requests_mock_shows_which_hop_of_a_redirect_is_signed(moved: str) -> None:
    """A mock's response names a proxy object in the place of the request."""
    with requests_mock.Mocker() as mock, IrisSession(token={"access_token": "fixed"}) as iris:
        mock.get(moved, **AWAY)
        api = mock.get(API, json={"content": [1]})
        assert iris.get(moved).ok
    signed = api.last_request.headers.get("Authorization")
    assert signed == ("Bearer fixed" if moved == MOVED else None)


@pytest.mark.parametrize("moved", [MOVED, "https://other.example/moved"])
@responses.activate
def test_responses_shows_which_hop_of_a_redirect_is_signed(moved: str) -> None:
    responses.get(moved, status=302, headers=AWAY["headers"])
    responses.get(API, json={"content": [1]})
    with IrisSession(token={"access_token": "fixed"}) as iris:
        assert iris.get(moved).ok
    signed = responses.calls[-1].request.headers.get("Authorization")
    assert signed == ("Bearer fixed" if moved == MOVED else None)
