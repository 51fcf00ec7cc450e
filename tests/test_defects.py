"""What is wrong with OAuth2Session's own request path, and must be right here.

Each test runs twice: with an IrisSession, and with a plain OAuth2Session set up as its
documentation says, which is expected to fail. So we know that the test looks at the defect.
"""

from __future__ import annotations

import json
import logging
import pickle
import time
from base64 import b64decode
from functools import partial

import pytest
import requests
from oauthlib.oauth2 import LegacyApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from requests_iris import IrisSession, TokenError
from requests_iris.sandbox import OMIT, Fault, Sandbox

from .conftest import skip_pauses

ECHO = "/echo"


class Ours:
    """An IrisSession; signing in is its own affair."""

    @staticmethod
    def session(sandbox: Sandbox, **settings) -> requests.Session:
        session = IrisSession(**{**sandbox.settings, **settings})
        session.verify = sandbox.ca_file
        skip_pauses(session)
        return session

    @staticmethod
    def sign_in(session: requests.Session, sandbox: Sandbox) -> None:
        session.fetch_token()

    @staticmethod
    def sign_in_with_the_scope_of_the_session(session: requests.Session) -> None:
        session.fetch_token()


class Plain:
    """An OAuth2Session with all that its documentation offers against the defects."""

    @staticmethod
    def session(
        sandbox: Sandbox, scope="api offline_access", token=None, token_updater=None, **settings
    ) -> OAuth2Session:
        settings = {**sandbox.settings, **settings}
        session = OAuth2Session(
            client=LegacyApplicationClient(settings["client_id"]),
            scope=scope,
            token=token,
            token_updater=token_updater,
            auto_refresh_url=settings["token_url"],
        )
        session.verify = sandbox.ca_file
        session.fetch = partial(
            session.fetch_token,
            settings["token_url"],
            username=settings["username"],
            password=settings["password"],
            client_secret=settings["client_secret"],
        )
        # where it takes the client's credentials for a renewal: with each request
        session.request = partial(
            session.request,
            client_id=settings["client_id"],
            client_secret=settings["client_secret"],
        )
        return session

    @staticmethod
    def sign_in(session: OAuth2Session, sandbox: Sandbox) -> None:
        session.fetch(scope=session.scope)

    @staticmethod
    def sign_in_with_the_scope_of_the_session(session: OAuth2Session) -> None:
        session.fetch()


@pytest.fixture(
    params=[
        pytest.param(Ours, id="IrisSession"),
        pytest.param(Plain, id="OAuth2Session", marks=pytest.mark.xfail(strict=True)),
    ]
)
def kind(request: pytest.FixtureRequest):
    return request.param


@pytest.fixture
def signed_in(kind, sandbox: Sandbox):
    """A session with a token, and a way to count from here on."""
    with kind.session(sandbox, token_updater=lambda token: None) as session:
        kind.sign_in(session, sandbox)
        sandbox.forget()
        yield session


def expire(session: requests.Session, sandbox: Sandbox) -> None:
    """Ends the life of the token, on both sides."""
    sandbox.expire_access_tokens()
    session.token = {**session.token, "expires_at": time.time() - 1}


def token_requests(sandbox: Sandbox) -> list:
    return [seen for seen in sandbox.seen if seen.server == "token"]


def url(sandbox: Sandbox, path: str = ECHO) -> str:
    return sandbox.base_url + path


class TestTheTokenCallIsItsOwn:
    def test_it_carries_nothing_of_the_request_that_set_it_off(self, signed_in, sandbox):
        expire(signed_in, sandbox)
        response = signed_in.post(
            url(sandbox), params={"q": "1"}, json={"a": 1}, stream=True, allow_redirects=False
        )
        assert response.json()["method"] == "POST"
        (seen,) = token_requests(sandbox)
        assert set(seen.form) == {"grant_type", "refresh_token"}
        assert not seen.query

    def test_it_authenticates_the_client_at_renewal(self, signed_in, sandbox):
        vars(signed_in).pop("request", None)
        expire(signed_in, sandbox)
        assert signed_in.get(url(sandbox)).ok
        basic = token_requests(sandbox)[0].headers["Authorization"].split()[1]
        assert b64decode(basic).decode().split(":", 1) == [
            sandbox.settings["client_id"],
            sandbox.settings["client_secret"],
        ]

    def test_it_carries_nothing_of_the_session(self, kind, sandbox):
        with kind.session(sandbox) as session:
            hooked = []
            session.params = {"tenant": "7"}
            session.headers["X-Trace"] = "1"
            session.cookies.set("crumb", "1")
            session.hooks["response"].append(lambda response, **_: hooked.append(response.url))
            kind.sign_in(session, sandbox)
        (seen,) = token_requests(sandbox)
        assert not seen.query
        assert not {"x-trace", "cookie"} & {name.lower() for name in seen.headers}
        assert hooked == []

    def test_it_has_a_timeout(self, kind, sandbox):
        timeouts = []

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request, *args, timeout=None, **kwargs):
                timeouts.append(timeout)
                return super().send(request, *args, timeout=timeout, **kwargs)

        with kind.session(sandbox) as session:
            session.mount("https://", Adapter())
            kind.sign_in(session, sandbox)
        assert all(timeouts)

    def test_it_follows_no_redirect(self, kind, sandbox):
        sandbox.inject(Fault(redirect=sandbox.foreign_url + "/echo", status=307), on="token")
        with kind.session(sandbox) as session, pytest.raises(TokenError, match="redirect"):
            kind.sign_in(session, sandbox)
        assert sandbox.count("foreign") == 0


class TestRenewal:
    def test_it_needs_no_token_updater(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            expire(session, sandbox)
            assert session.get(url(sandbox)).ok

    def test_a_failed_sign_in_keeps_the_token_and_signs_on(self, signed_in, kind, sandbox):
        """OAuth2Session empties the token first, stays `authorized`, and goes out unsigned."""
        before = signed_in.token["access_token"]
        sandbox.inject(Fault(status=400, body='{"error": "invalid_request"}'), on="token")
        with pytest.raises(Exception):  # noqa: B017, PT011
            kind.sign_in(signed_in, sandbox)
        assert signed_in.authorized
        response = signed_in.get(url(sandbox))
        assert response.request.headers["Authorization"] == f"Bearer {before}"

    def test_a_smaller_scope_is_accepted_and_told(self, kind, sandbox):
        sandbox.inject(Fault(scope="api"), on="token")
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.token["scope"] == ["api"]

    def test_a_smaller_scope_at_renewal_does_not_lose_the_rotated_token(self, signed_in, sandbox):
        expire(signed_in, sandbox)
        sandbox.inject(Fault(scope="api"), on="token")
        assert signed_in.get(url(sandbox)).ok
        assert signed_in.token["refresh_token"] == sandbox.refresh_token

    def test_two_spaces_in_the_scope_are_no_change(self, kind, sandbox, caplog):
        with kind.session(sandbox, scope="api  offline_access") as session:
            kind.sign_in(session, sandbox)
            assert session.authorized
        assert "scope" not in [r.message for r in caplog.records if r.levelno >= logging.WARNING]

    def test_the_scope_of_the_session_is_sent(self, kind, sandbox):
        with kind.session(sandbox, scope="api") as session:
            kind.sign_in_with_the_scope_of_the_session(session)
        assert token_requests(sandbox)[0].form.get("scope") == "api"


class TestLifetimes:
    def test_they_count_from_the_sending(self, kind, sandbox):
        sandbox.inject(Fault(delay=1.6), on="token")
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            sent_by = time.time() - 1.6
            assert session.token["expires_at"] <= sent_by + sandbox.token_lifetime

    def test_none_at_all_is_over_at_once(self, kind, sandbox):
        sandbox.inject(Fault(expires_in=0), on="token")
        with kind.session(sandbox, token_updater=lambda token: None) as session:
            kind.sign_in(session, sandbox)
            sandbox.forget()
            assert session.get(url(sandbox)).ok
        assert sandbox.count("refresh_token") == 1

    def test_a_reply_without_one_after_one_with_it_is_not_expired(self, kind, sandbox):
        with kind.session(sandbox, token_updater=lambda token: None) as session:
            kind.sign_in(session, sandbox)
            expire(session, sandbox)
            sandbox.inject(Fault(expires_in=OMIT), on="token")
            assert session.get(url(sandbox)).ok
            sandbox.forget()
            assert session.get(url(sandbox)).ok
        assert sandbox.count("token") == 0

    @pytest.mark.parametrize("expires_in", ["3600.0", "soon"])
    def test_odd_ones_are_no_error(self, kind, sandbox, expires_in):
        sandbox.inject(Fault(expires_in=expires_in), on="token")
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.get(url(sandbox)).ok

    def test_a_saved_token_does_not_start_its_hour_anew(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            saved = {**session.token, "expires_in": 3600}
            del saved["expires_at"]
        sandbox.expire_access_tokens()  # it was saved an hour ago
        with kind.session(sandbox, token=saved, token_updater=lambda token: None) as session:
            assert session.get(url(sandbox)).ok


class TestErrors:
    def test_an_html_page_keeps_its_status_and_body(self, kind, sandbox):
        sandbox.inject(Fault(status=503, body="<html>Sorry</html>"), on="token", times=9)
        with kind.session(sandbox) as session, pytest.raises(Exception) as caught:  # noqa: PT011
            kind.sign_in(session, sandbox)
        assert caught.value.response.status_code == 503
        assert caught.value.response.text == "<html>Sorry</html>"
        assert caught.value.retryable


class TestSecrets:
    @pytest.mark.parametrize("value", ["é", "🚜"])
    def test_a_client_secret_outside_latin_1_arrives(self, kind, value):
        with Sandbox(client_secret=value) as sandbox, kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.get(url(sandbox)).ok

    @pytest.mark.parametrize("name", ["username", "password"])
    def test_an_empty_one_is_sent(self, kind, sandbox, name):
        with kind.session(sandbox, **{name: ""}) as session, pytest.raises(Exception):  # noqa: B017, PT011
            kind.sign_in(session, sandbox)
        assert token_requests(sandbox)[0].form[name] == ""

    def test_debug_logs_do_not_tell_them(self, kind, sandbox, caplog):
        caplog.set_level(logging.DEBUG)
        with kind.session(sandbox, token_updater=lambda token: None) as session:
            kind.sign_in(session, sandbox)
            expire(session, sandbox)
            assert session.get(url(sandbox)).ok
        logged = caplog.text
        secrets = [
            sandbox.settings["password"],
            sandbox.settings["client_secret"],
            sandbox.refresh_token,
            *sandbox.issued,
        ]
        assert logged
        assert not [secret for secret in secrets if secret in logged]


class TestTheRestOfRequests:
    def test_the_callers_headers_are_not_written_to(self, signed_in, sandbox):
        headers = {"X-Mine": "1"}
        assert signed_in.get(url(sandbox), headers=headers).ok
        assert headers == {"X-Mine": "1"}

    def test_netrc_works_for_other_hosts(self, signed_in, sandbox, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password mine\n")
        monkeypatch.setenv("NETRC", str(netrc))
        sent = signed_in.get(sandbox.foreign_url + ECHO).request.headers["Authorization"]
        expected = requests.Request("GET", "https://x", auth=HTTPBasicAuth("me", "mine")).prepare()
        assert sent == expected.headers["Authorization"]

    def test_it_pickles(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            again = pickle.loads(pickle.dumps(session))
            with again:
                assert json.loads(again.get(url(sandbox)).text)["method"] == "GET"
