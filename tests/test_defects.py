"""Defects of OAuth2Session's request path, which IrisSession must not inherit.

Each test runs twice: with an IrisSession, which must pass, and with a plain OAuth2Session, set up
as its documentation says, which must fail with the error that shows the defect. If OAuth2Session
passes, or fails for another reason, the test proves nothing, and fails.
"""

from __future__ import annotations

import inspect
import json
import logging
import pickle
import time
from base64 import b64decode
from functools import partial, wraps

import pytest
import requests
from oauthlib.oauth2 import (
    InvalidClientError,
    InvalidClientIdError,
    LegacyApplicationClient,
    MissingTokenError,
    TokenExpiredError,
)
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session, TokenUpdated

from requests_iris import IrisSession, TokenError
from requests_iris.sandbox import OMIT, Fault, Sandbox

from .support.clocks import SkippingClock

ECHO = "/echo"


class Ours:
    """An IrisSession, which knows how to sign in."""

    @staticmethod
    def session(sandbox: Sandbox, **settings) -> requests.Session:
        session = IrisSession(**{**sandbox.settings, **settings}, clock=SkippingClock())
        session.verify = sandbox.ca_file
        return session

    @staticmethod
    def sign_in(session: requests.Session, sandbox: Sandbox) -> None:
        session.fetch_token()

    @staticmethod
    def sign_in_with_the_scope_of_the_session(session: requests.Session) -> None:
        session.fetch_token()


class Plain:
    """An OAuth2Session with everything that its documentation offers against the defects."""

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
        # OAuth2Session takes the client's credentials for a renewal from each request
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


@pytest.fixture(params=[Ours, Plain], ids=["IrisSession", "OAuth2Session"])
def kind(request: pytest.FixtureRequest):
    return request.param


def defect(error, match=None):
    """Marks a test that IrisSession passes; OAuth2Session must fail it with `error`."""

    def decorate(test):
        @wraps(test)
        def run(*args, kind, **fixtures):
            fixtures |= {"kind": kind} if "kind" in parameters else {}
            if kind is Ours:
                test(*args, **fixtures)
            else:
                with pytest.raises(error, match=match):
                    test(*args, **fixtures)

        parameters = dict(inspect.signature(test).parameters)
        wanted = inspect.Parameter("kind", inspect.Parameter.KEYWORD_ONLY)
        others = [value for name, value in parameters.items() if name != "kind"]
        run.__signature__ = inspect.Signature([*others, wanted])
        return run

    return decorate


@pytest.fixture
def signed_in(kind, sandbox: Sandbox):
    """A session with a token. The sandbox has forgotten the sign-in."""
    with kind.session(sandbox, token_updater=lambda token: None) as session:
        kind.sign_in(session, sandbox)
        sandbox.forget()
        yield session


def expire(session: requests.Session, sandbox: Sandbox) -> None:
    """The access token has expired, for the session and for the sandbox."""
    sandbox.expire_access_tokens()
    session.token = {**session.token, "expires_at": time.time() - 1}


def token_requests(sandbox: Sandbox) -> list:
    return [seen for seen in sandbox.seen if seen.server == "token"]


def url(sandbox: Sandbox, path: str = ECHO) -> str:
    return sandbox.base_url + path


class TestTokenRequest:
    @defect(AssertionError, match="'params'")
    def test_token_request_carries_nothing_of_the_request_that_caused_it(self, signed_in, sandbox):
        expire(signed_in, sandbox)
        response = signed_in.post(
            url(sandbox), params={"q": "1"}, json={"a": 1}, stream=True, allow_redirects=False
        )
        assert response.json()["method"] == "POST"
        (seen,) = token_requests(sandbox)
        assert set(seen.form) == {"grant_type", "refresh_token"}
        assert not seen.query

    @defect(InvalidClientError)
    def test_renewal_authenticates_the_client(self, signed_in, sandbox):
        vars(signed_in).pop("request", None)
        expire(signed_in, sandbox)
        assert signed_in.get(url(sandbox)).ok
        basic = token_requests(sandbox)[0].headers["Authorization"].split()[1]
        assert b64decode(basic).decode().split(":", 1) == [
            sandbox.settings["client_id"],
            sandbox.settings["client_secret"],
        ]

    @defect(InvalidClientIdError, match="query parameters")
    def test_token_request_carries_nothing_of_the_session(self, kind, sandbox):
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

    @defect(AssertionError, match=r"all\(\[None\]\)")
    def test_token_request_has_a_timeout(self, kind, sandbox):
        timeouts = []

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request, *args, timeout=None, **kwargs):
                timeouts.append(timeout)
                return super().send(request, *args, timeout=timeout, **kwargs)

        with kind.session(sandbox) as session:
            session.mount("https://", Adapter())
            kind.sign_in(session, sandbox)
        assert all(timeouts)

    @defect(MissingTokenError)
    def test_token_request_follows_no_redirect(self, kind, sandbox):
        sandbox.inject(Fault(redirect=sandbox.foreign_url + "/echo", status=307), on="token")
        with kind.session(sandbox) as session, pytest.raises(TokenError, match="(?i)redirect"):
            kind.sign_in(session, sandbox)
        assert sandbox.count("foreign") == 0


class TestRenewal:
    @defect(TokenUpdated)
    def test_renewal_needs_no_token_updater(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            expire(session, sandbox)
            assert session.get(url(sandbox)).ok

    @defect(KeyError, match="authorization")
    def test_failed_sign_in_keeps_the_token_and_signs_with_it(self, signed_in, kind, sandbox):
        """OAuth2Session empties its token first, stays `authorized`, and signs nothing."""
        before = signed_in.token["access_token"]
        sandbox.inject(Fault(status=400, body='{"error": "invalid_request"}'), on="token")
        with pytest.raises(Exception):  # noqa: B017, PT011
            kind.sign_in(signed_in, sandbox)
        assert signed_in.authorized
        response = signed_in.get(url(sandbox))
        assert response.request.headers["Authorization"] == f"Bearer {before}"

    @defect(Warning, match="Scope has changed")
    def test_smaller_scope_is_accepted_and_recorded(self, kind, sandbox):
        sandbox.inject(Fault(scope="api"), on="token")
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.token["scope"] == ["api"]

    @defect(Warning, match="Scope has changed")
    def test_smaller_scope_at_renewal_does_not_lose_the_rotated_token(self, signed_in, sandbox):
        expire(signed_in, sandbox)
        sandbox.inject(Fault(scope="api"), on="token")
        assert signed_in.get(url(sandbox)).ok
        assert signed_in.token["refresh_token"] == sandbox.refresh_token

    @defect(Warning, match="Scope has changed")
    def test_two_spaces_in_the_scope_are_no_change_of_scope(self, kind, sandbox, caplog):
        with kind.session(sandbox, scope="api  offline_access") as session:
            kind.sign_in(session, sandbox)
            assert session.authorized
        assert "scope" not in [r.message for r in caplog.records if r.levelno >= logging.WARNING]

    @defect(AssertionError, match="None == 'api'")
    def test_scope_of_the_session_is_sent(self, kind, sandbox):
        with kind.session(sandbox, scope="api") as session:
            kind.sign_in_with_the_scope_of_the_session(session)
        assert token_requests(sandbox)[0].form.get("scope") == "api"


class TestLifetimes:
    @defect(AssertionError)
    def test_lifetime_counts_from_the_sending_of_the_token_request(self, kind, sandbox):
        sandbox.inject(Fault(delay=1.2), on="token")
        with kind.session(sandbox) as session:
            began = time.time()
            kind.sign_in(session, sandbox)
            # OAuth2Session rounds to whole seconds, so by half a second at most
            assert session.token["expires_at"] - sandbox.token_lifetime < began + 0.65

    @defect(AssertionError, match="0 == 1")
    def test_lifetime_of_0_has_expired_at_once(self, kind, sandbox):
        sandbox.inject(Fault(expires_in=0), on="token")
        with kind.session(sandbox, token_updater=lambda token: None) as session:
            kind.sign_in(session, sandbox)
            sandbox.forget()
            assert session.get(url(sandbox)).ok
        assert sandbox.count("refresh_token") == 1

    @defect(TokenExpiredError)
    def test_response_without_a_lifetime_does_not_inherit_the_old_end(self, kind, sandbox):
        with kind.session(sandbox, token_updater=lambda token: None) as session:
            kind.sign_in(session, sandbox)
            expire(session, sandbox)
            sandbox.inject(Fault(expires_in=OMIT), on="token")
            assert session.get(url(sandbox)).ok
            sandbox.forget()
            assert session.get(url(sandbox)).ok
        assert sandbox.count("token") == 0

    @pytest.mark.parametrize("expires_in", ["3600.0", "soon"])
    @defect(ValueError, match="expires_in must be an int|invalid literal")
    def test_odd_lifetime_is_no_error(self, kind, sandbox, expires_in):
        sandbox.inject(Fault(expires_in=expires_in), on="token")
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.get(url(sandbox)).ok

    @defect(AssertionError, match="401")
    def test_saved_token_does_not_start_its_hour_again(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            saved = {**session.token, "expires_in": 3600}
            del saved["expires_at"]
        sandbox.expire_access_tokens()  # it was saved an hour ago
        with kind.session(sandbox, token=saved, token_updater=lambda token: None) as session:
            assert session.get(url(sandbox)).ok


class TestErrors:
    @defect(AttributeError, match="response")
    def test_error_of_an_html_page_has_its_status_and_body(self, kind, sandbox):
        sandbox.inject(Fault(status=503, body="<html>Sorry</html>"), on="token", times=9)
        with kind.session(sandbox) as session, pytest.raises(Exception) as caught:  # noqa: PT011
            kind.sign_in(session, sandbox)
        assert caught.value.response.status_code == 503
        assert caught.value.response.text == "<html>Sorry</html>"
        assert caught.value.retryable


class TestSecrets:
    @pytest.mark.parametrize("value", ["é", "🚜"])
    @defect((InvalidClientError, UnicodeEncodeError))
    def test_client_secret_outside_ascii_arrives(self, kind, value):
        with Sandbox(client_secret=value) as sandbox, kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            assert session.get(url(sandbox)).ok

    @pytest.mark.parametrize("name", ["username", "password"])
    @defect(KeyError, match="username|password")
    def test_empty_credential_is_sent(self, kind, sandbox, name):
        with kind.session(sandbox, **{name: ""}) as session, pytest.raises(Exception):  # noqa: B017, PT011
            kind.sign_in(session, sandbox)
        assert token_requests(sandbox)[0].form[name] == ""

    @defect(AssertionError, match="sandbox-password")
    def test_debug_logs_hold_no_secret(self, kind, sandbox, caplog):
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


class TestRequests:
    @defect(AssertionError, match="Authorization")
    def test_headers_of_the_caller_stay_unchanged(self, signed_in, sandbox):
        headers = {"X-Mine": "1"}
        assert signed_in.get(url(sandbox), headers=headers).ok
        assert headers == {"X-Mine": "1"}

    @defect(AssertionError, match="Bearer")
    def test_netrc_works_for_other_hosts(self, signed_in, sandbox, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password mine\n")
        monkeypatch.setenv("NETRC", str(netrc))
        sent = signed_in.get(sandbox.foreign_url + ECHO).request.headers["Authorization"]
        expected = requests.Request("GET", "https://x", auth=HTTPBasicAuth("me", "mine")).prepare()
        assert sent == expected.headers["Authorization"]

    @defect((AttributeError, pickle.PicklingError), match="lambda")
    def test_session_can_be_pickled(self, kind, sandbox):
        with kind.session(sandbox) as session:
            kind.sign_in(session, sandbox)
            again = pickle.loads(pickle.dumps(session))
            with again:
                assert json.loads(again.get(url(sandbox)).text)["method"] == "GET"
