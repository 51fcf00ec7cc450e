"""The objects that a caller keeps hold no token, and the token request leaves nothing in them."""

from __future__ import annotations

import pytest
import requests
from requests import PreparedRequest, Response

from requests_iris import IrisSession, TokenUnreachableError
from requests_iris.sandbox import Fault, Sandbox

ECHO = "/echo"


def authorizations(response: Response) -> list[str]:
    return [str(each.request.headers["Authorization"]) for each in response.history]


class TestHistory:
    """Caches store the history. Tools show the history, and conceal only the headers of the last
    request."""

    def test_history_shows_no_token_after_a_redirect(self, iris: IrisSession) -> None:
        response = iris.get("/redirect", params={"to": ECHO})
        assert [hop[:19] for hop in authorizations(response)] == ["Bearer fingerprint:"]
        assert response.request.headers["Authorization"] == f"Bearer {iris.access_token}"

    def test_history_shows_no_token_in_the_next_request_of_a_redirect(self, iris, sandbox) -> None:
        sandbox.inject(Fault(redirect=f"{sandbox.base_url}/redirect?to={ECHO}"), on="api")
        response = iris.get(ECHO)
        assert [hop.status_code for hop in response.history] == [302, 302]
        led_to = [hop.next for hop in response.history if hop.next]
        assert led_to
        assert not [each for each in led_to if "Authorization" in each.headers]

    def test_history_shows_no_token_after_a_401(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.fetch_token()
        sandbox.expire_access_tokens()
        assert [hop[:19] for hop in authorizations(iris.get(ECHO))] == ["Bearer fingerprint:"]

    def test_history_of_a_plain_session_with_our_bearer_shows_no_token(self, iris, sandbox) -> None:
        iris.fetch_token()
        sandbox.expire_access_tokens()
        response = requests.get(
            sandbox.base_url + ECHO, auth=iris.bearer, verify=sandbox.ca_file, timeout=10
        )
        assert [hop[:19] for hop in authorizations(response)] == ["Bearer fingerprint:"]

    def test_history_keeps_a_header_of_the_callers_own(self, iris: IrisSession) -> None:
        iris.fetch_token()
        mine = {"Authorization": f"Bearer {iris.access_token}"}
        response = iris.get("/redirect", params={"to": ECHO}, headers=mine)
        assert authorizations(response) == [mine["Authorization"]]

    def test_a_request_kept_by_a_hook_stays_as_it_was_sent(self, iris, sandbox) -> None:
        kept: list[PreparedRequest] = []
        iris.hooks["response"].append(lambda response, **_: kept.append(response.request))
        iris.get("/redirect", params={"to": ECHO})
        assert [str(each.headers["Authorization"]) for each in kept] == [
            f"Bearer {iris.access_token}"
        ] * 2


class TestTokenCall:
    def test_token_request_passes_the_method_that_mocking_libraries_replace(
        self, iris, monkeypatch
    ) -> None:
        """requests-mock replaces `requests.Session.send`."""
        sent: list[str] = []
        send = requests.Session.send

        def watched(session: requests.Session, request: PreparedRequest, **kwargs) -> Response:
            sent.append(request.path_url)
            return send(session, request, **kwargs)

        monkeypatch.setattr(requests.Session, "send", watched)
        iris.get(ECHO)
        assert sent == ["/token", ECHO]

    def test_token_request_uses_an_adapter_that_was_mounted_later(self, iris, sandbox) -> None:
        class Adapter(requests.adapters.HTTPAdapter):
            sent = 0

            def send(self, *args, **kwargs) -> Response:
                self.sent += 1
                return super().send(*args, **kwargs)

        adapter = Adapter()
        iris.mount(sandbox.token_url, adapter)
        iris.get(ECHO)
        assert adapter.sent == 1

    def test_a_redirect_of_a_token_request_is_read_within_fixed_limits(
        self, iris, sandbox, clock
    ) -> None:
        """requests would read the whole body, without a time limit, to follow the redirect."""
        headers = {"Location": "/elsewhere"}
        fault = Fault(status=302, headers=headers, body="x" * 100, truncate=50)
        sandbox.inject(fault, on="token", times=3)
        with pytest.raises(TokenUnreachableError):
            iris.fetch_token()


def test_bearer_accepts_a_response_that_came_from_a_cache(iris, sandbox) -> None:
    with requests.Session() as session:
        session.verify = sandbox.ca_file
        request = requests.Request("GET", sandbox.base_url + ECHO, auth=iris.bearer)
        prepared = session.prepare_request(request)
        (hook,) = prepared.hooks["response"]
        response = Response()
        response.status_code, response.request = 401, prepared
        assert hook(response) is response
