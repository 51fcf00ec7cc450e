"""IrisSession from the outside: settings, signing in, renewing, replaying."""

from __future__ import annotations

import copy
import pickle
import time

import pytest
import requests
from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session
from urllib3.util import Timeout

import requests_iris
from requests_iris import (
    InvalidClientError,
    InvalidGrantError,
    IrisSession,
    MissingSettingError,
    SettingError,
    TokenResponseError,
    TokenUnreachableError,
)
from requests_iris.sandbox import Fault, Sandbox

from .conftest import skip_pauses


class TestSettings:
    def test_making_a_session_needs_nothing(self) -> None:
        session = IrisSession()
        assert isinstance(session, OAuth2Session)
        assert isinstance(session._client, LegacyApplicationClient)
        assert not session.authorized
        assert session.token == {}

    def test_they_come_from_the_environment(self, sandbox: Sandbox, monkeypatch) -> None:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        with IrisSession() as iris:
            assert iris.get("/echo").ok
            assert iris.scope == "api offline_access"

    def test_a_scope_from_the_environment(self, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_SCOPE", "api")
        assert IrisSession().scope == "api"
        assert IrisSession(scope="other").scope == "other"
        assert IrisSession(scope=["one", "two"]).scope == "one two"

    def test_arguments_come_before_the_environment(self, sandbox: Sandbox, monkeypatch) -> None:
        for name in ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD", "BASE_URL", "TOKEN_URL"):
            monkeypatch.setenv(f"TRACKUNIT_{name}", "https://elsewhere.example")
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok

    def test_a_missing_one_is_named_by_the_first_request_that_needs_it(self, sandbox) -> None:
        settings = {**sandbox.settings, "password": None}
        with IrisSession(**settings) as iris, pytest.raises(MissingSettingError) as caught:
            iris.get("/echo")
        assert caught.value.setting == "password"
        assert caught.value.variable == "TRACKUNIT_PASSWORD"
        assert "TRACKUNIT_PASSWORD" in str(caught.value)
        assert sandbox.seen == ()

    def test_a_variable_that_is_set_later_is_found(self, sandbox: Sandbox, monkeypatch) -> None:
        with IrisSession(**{**sandbox.settings, "password": None}) as iris:
            iris.verify = sandbox.ca_file
            monkeypatch.setenv("TRACKUNIT_PASSWORD", sandbox.settings["password"])
            assert iris.get("/echo").ok

    @pytest.mark.parametrize(
        "settings",
        [
            {"token_url": "http://auth.trackunit.com/token"},
            {"token_url": "https:///token"},
            {"token_url": "https://me:s3cret@auth.trackunit.com/token"},
            {"base_url": "http://iris.trackunit.com"},
            {"base_url": "http://localhost:80"},
            {"base_url": "iris"},
            {"base_url": ""},
            {"base_url": "https://iris.trackunit.com/?x=1"},
            {"base_url": "https://iris.trackunit.com/#x"},
            {"token_url": ""},
            {"allowed_hosts": ["http://example.org"]},
            {"allowed_hosts": ["*"]},
            {"allowed_hosts": 8443},
            {"allowed_hosts": b"example.org"},
            {"scope": "api\noffline_access"},
            {"scope": 7},
            {"leeway": -1},
            {"leeway": float("nan")},
            {"leeway": "60"},
            {"default_timeout": -1},
            {"default_timeout": (10, 0)},
            {"default_timeout": (10, 60, 60)},
            {"default_timeout": "60"},
            {"default_timeout": True},
            {"default_timeout": (10, float("inf"))},
            {"token_updater": {"access_token": "s3cret"}},
            {"token": {"refresh_token": "s3cret"}},
            {"token": {"access_token": "s3cret\n"}},
            {"token": "s3cret"},
            {"client_id": "with:colon"},
            {"password": b"s3cret"},
            {"password": "s3cret\udcff"},
        ],
        ids=str,
    )
    def test_bad_ones_are_refused_at_once(self, settings) -> None:
        with pytest.raises(SettingError) as caught:
            IrisSession(**settings)
        assert isinstance(caught.value, ValueError)
        assert caught.value.setting in settings
        assert caught.value.setting in str(caught.value)
        assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)

    def test_no_secret_is_in_what_a_debugger_shows(self, iris: IrisSession, sandbox) -> None:
        response = iris.get("/echo")
        shown = repr([vars(iris), vars(iris._source), response.request.headers, iris.bearer])
        secrets = (sandbox.settings["password"], sandbox.settings["client_secret"])
        assert not [s for s in (*secrets, *sandbox.issued, sandbox.refresh_token) if s in shown]


class TestUrls:
    @pytest.mark.parametrize("url", ["/echo", b"/echo"])
    def test_one_slash_belongs_to_base_url(self, iris: IrisSession, sandbox, url) -> None:
        assert iris.get(url).url == f"{sandbox.base_url}/echo"

    def test_a_base_url_may_have_a_path(self, sandbox: Sandbox) -> None:
        settings = {**sandbox.settings, "base_url": sandbox.base_url + "/api/asset/"}
        with IrisSession(**settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/v1/assets").ok

    @pytest.mark.parametrize("url", ["iris.trackunit.com/x", "//iris.trackunit.com/x", "x"])
    def test_nothing_else_does(self, iris: IrisSession, url) -> None:
        with pytest.raises(requests.exceptions.MissingSchema):
            iris.get(url)

    def test_a_prepared_request_is_joined_too(self, iris: IrisSession, sandbox) -> None:
        request = requests.Request("GET", "/echo")
        assert iris.send(iris.prepare_request(request)).ok
        assert request.url == "/echo"


class TestLife:
    def test_the_first_request_signs_in_and_the_next_do_not(self, iris, sandbox) -> None:
        assert iris.get("/echo").ok
        assert iris.get("/echo").ok
        assert (sandbox.count("token"), sandbox.count("password")) == (1, 1)
        assert sandbox.seen[0].form["scope"] == "api offline_access"

    def test_an_expired_token_is_renewed_by_its_refresh_token(self, iris, sandbox) -> None:
        iris.get("/echo")
        iris.token = {**iris.token, "expires_at": time.time() + 59}  # leeway is 60
        sandbox.forget()
        assert iris.get("/echo").ok
        assert sandbox.count("refresh_token") == sandbox.count("token") == 1
        assert sandbox.count("api", status=401) == 0

    def test_refresh_tokens_rotate(self, iris: IrisSession, sandbox: Sandbox) -> None:
        for _ in range(3):
            iris.get("/echo")
            iris.token = {**iris.token, "expires_at": time.time()}
        assert iris.get("/echo").ok
        assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, 3)

    def test_without_a_refresh_token_it_signs_in_again(self, sandbox: Sandbox) -> None:
        with IrisSession(**sandbox.settings, scope="api") as iris:
            iris.verify = sandbox.ca_file
            iris.get("/echo")
            assert "refresh_token" not in iris.token
            iris.token = {**iris.token, "expires_at": time.time()}
            assert iris.get("/echo").ok
        assert sandbox.count("password") == 2

    def test_a_refused_refresh_token_leads_to_the_password(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_refresh_tokens()
        iris.token = {**iris.token, "expires_at": time.time()}
        assert iris.get("/echo").ok
        assert (sandbox.count("refresh_token"), sandbox.count("password")) == (1, 2)

    def test_a_saved_token_needs_no_credentials(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.forget()
        with IrisSession(token=iris.token, base_url=sandbox.base_url) as other:
            other.verify = sandbox.ca_file
            assert other.get("/echo").ok
        assert sandbox.count("token") == 0

    def test_token_updater_is_told_of_each_token(self, sandbox: Sandbox) -> None:
        told = []
        with IrisSession(**sandbox.settings, token_updater=told.append) as iris:
            iris.verify = sandbox.ca_file
            iris.get("/echo")
            assert told == [iris.token]
            sandbox.expire_access_tokens()
            iris.get("/echo")
            assert told[1:] == [iris.token]
        assert [token["access_token"] for token in told] == list(sandbox.issued)

    def test_tokens_that_are_over_at_once_serve_one_request_each(self, sandbox) -> None:
        sandbox.token_lifetime = 0
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert [iris.get("/echo").ok for _ in range(3)] == [True] * 3
        assert sandbox.count("token") == 3


class TestReplay:
    def test_a_revoked_token_is_replaced_and_the_request_sent_again(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        response = iris.put("/echo", data=b"body", headers={"X-Mine": "1"})
        assert response.json()["headers"]["X-Mine"] == "1"
        assert response.json()["size"] == 4
        assert [rejected.status_code for rejected in response.history] == [401]
        assert response.request.headers["Authorization"] == f"Bearer {sandbox.issued[-1]}"
        assert response.elapsed.total_seconds() > 0

    def test_hooks_of_the_callers_see_the_final_response_once(self, iris, sandbox) -> None:
        seen = []
        iris.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        response = iris.get("/echo", hooks={"response": lambda r, **_: r.raise_for_status()})
        assert response.ok
        iris.get("/echo")
        assert seen == [200, 200]

    def test_a_second_401_is_final(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        sandbox.inject(Fault(status=401, body="{}"), on="api", times=2)
        response = iris.get("/echo")
        assert response.status_code == 401
        assert [rejected.status_code for rejected in response.history] == [401]
        assert sandbox.count("api") == 3

    def test_a_cookie_of_the_401_goes_along(self, iris, sandbox) -> None:
        iris.get("/echo")
        crumb = Fault(status=401, headers={"Set-Cookie": "crumb=1; Path=/"})
        sandbox.inject(crumb, on="api")
        assert iris.get("/echo").json()["headers"]["Cookie"] == "crumb=1"
        assert iris.cookies["crumb"] == "1"

    def test_a_body_that_cannot_be_rewound_is_not_sent_again(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        assert iris.post("/echo", data=(piece for piece in [b"a", b"b"])).status_code == 401
        assert sandbox.count("token") == 1
        response = iris.post("/echo", data=(piece for piece in [b"a", b"b"]))
        assert response.json()["size"] == 2

    def test_a_401_that_breaks_off_is_mended_too(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.inject(Fault(status=401, body="x" * 100, truncate=10), on="api")
        with iris.get("/echo", stream=True) as response:
            assert response.ok
        assert [rejected.status_code for rejected in response.history] == [401]

    def test_a_file_is_sent_again_from_where_it_stood(self, iris, sandbox, tmp_path) -> None:
        path = tmp_path / "body"
        path.write_bytes(b"skip,keep")
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        with path.open("rb") as file:
            file.seek(5)
            assert iris.post("/echo", data=file).json()["size"] == 4

    def test_no_hook_of_ours_stays_behind(self, iris: IrisSession, sandbox) -> None:
        prepared = iris.prepare_request(requests.Request("GET", "/echo"))
        iris.send(prepared)
        sandbox.revoke_access_tokens()
        response = iris.send(prepared)
        for request in (prepared, response.request, response.history[0].request):
            assert request.hooks == {"response": []}
        assert "Authorization" not in prepared.headers

    def test_a_response_that_is_sent_again_is_signed_anew(self, iris, sandbox) -> None:
        first = iris.get("/echo")
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        again = iris.send(first.request)
        assert again.ok
        assert again.history == []

    def test_so_is_a_request_with_the_headers_of_an_earlier_one(self, iris, sandbox) -> None:
        headers = iris.get("/echo").request.headers
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        prepared = iris.prepare_request(requests.Request("GET", "/echo", headers=headers))
        for again in (iris.get("/echo", headers=headers), iris.send(prepared)):
            assert again.ok
            assert again.history == []

    def test_a_401_to_the_callers_own_authentication_is_the_callers(self, iris, sandbox) -> None:
        assert iris.get("/echo", auth=("me", "mine")).status_code == 401
        assert sandbox.count("api") == 1


class TestRefusals:
    def test_of_the_client(self, sandbox: Sandbox) -> None:
        error = self.refusal(sandbox, client_secret="wrong")
        assert isinstance(error, InvalidClientError)
        assert (error.error, error.status_code) == ("invalid_client", 401)

    def test_of_the_user(self, sandbox: Sandbox) -> None:
        error = self.refusal(sandbox, password="wrong")
        assert isinstance(error, InvalidGrantError)
        assert (error.error, error.status_code) == ("invalid_grant", 400)
        assert error.response is not None
        assert error.response.json()["error"] == "invalid_grant"
        assert "username and password" in str(error)

    def refusal(self, sandbox: Sandbox, **settings: str) -> requests_iris.TokenRefusedError:
        with IrisSession(**{**sandbox.settings, **settings}) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(requests_iris.TokenRefusedError) as caught:
                iris.get("/echo")
            with pytest.raises(requests_iris.TokenRefusedError) as again:
                iris.get("/echo")
        assert isinstance(caught.value.__cause__, OAuth2Error)
        assert not caught.value.retryable
        assert str(again.value).startswith(f"{caught.value}; ")
        assert sandbox.count("token") == 1
        loaded = pickle.loads(pickle.dumps(caught.value))
        assert vars(loaded).keys() == vars(caught.value).keys()
        assert loaded.error == caught.value.error
        return caught.value

    def test_changed_credentials_are_tried_at_once(self, sandbox: Sandbox) -> None:
        with IrisSession(**{**sandbox.settings, "password": "wrong"}) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(InvalidGrantError):
                iris.get("/echo")
            iris.fetch_token(password=sandbox.settings["password"])
            assert iris.get("/echo").ok

    def test_an_endpoint_that_is_not_there(self, sandbox: Sandbox) -> None:
        url, settings = sandbox.token_url, sandbox.settings
        sandbox.close()
        with IrisSession(**settings) as iris:
            skip_pauses(iris)
            with pytest.raises(TokenUnreachableError) as caught:
                iris.get("/echo")
        assert caught.value.retryable
        assert url in str(caught.value)
        assert isinstance(caught.value.__cause__, requests.ConnectionError)
        assert caught.value.__cause__.request is None

    def test_a_bundle_of_certificates_that_is_not_there(self, iris: IrisSession) -> None:
        """As a program is told that was started with REQUESTS_CA_BUNDLE of a sandbox that ended."""
        iris.verify = "/not/there.pem"
        with pytest.raises(TokenUnreachableError, match="invalid path: /not/there.pem") as caught:
            iris.get("/echo")
        assert not caught.value.retryable
        assert iris.counters["password"] == 1, "it will not come by waiting"

    def test_nonsense(self, iris: IrisSession, sandbox: Sandbox) -> None:
        sandbox.inject(Fault(status=404, body="<html>Not here</html>"), on="token")
        with pytest.raises(TokenResponseError, match="404") as caught:
            iris.get("/echo")
        assert caught.value.status_code == 404
        assert not caught.value.retryable


class TestOfTheParents:
    def test_fetch_token_and_refresh_token(self, iris: IrisSession, sandbox: Sandbox) -> None:
        token = iris.fetch_token(sandbox.token_url)
        assert token == iris.token
        assert token["scope"] == ["api", "offline_access"]
        renewed = iris.refresh_token(sandbox.token_url)
        assert renewed["access_token"] == sandbox.issued[-1]
        assert iris.access_token == sandbox.issued[-1]
        assert sandbox.count("refresh_token") == 1

    def test_another_token_url_is_refused(self, iris: IrisSession) -> None:
        with pytest.raises(SettingError, match="token_url"):
            iris.fetch_token("https://elsewhere.example/token")

    def test_refresh_token_without_one(self, iris: IrisSession) -> None:
        with pytest.raises(SettingError, match="offline_access"):
            iris.refresh_token()

    def test_a_token_can_be_forgotten(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        iris.token = {}
        assert not iris.authorized
        iris.get("/echo")
        assert sandbox.count("password") == 2

    @pytest.mark.parametrize(
        "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
    )
    def test_a_copy_works_and_holds_the_token(self, iris, sandbox, copied) -> None:
        iris.get("/echo")
        iris.headers["X-Mine"] = "1"
        with copied(iris) as other:
            assert other.get("/echo").json()["headers"]["X-Mine"] == "1"
            assert other.scope == iris.scope
            sandbox.expire_access_tokens()
            assert other.get("/echo").ok
        assert sandbox.count("password") == 1

    def test_a_pickled_response_carries_no_token(self, iris, sandbox) -> None:
        assert sandbox.issued[-1:] == ()
        response = iris.get("/echo")
        response._content = b""  # the echo of the request
        pickled = pickle.dumps(response)
        assert sandbox.issued[-1].encode() not in pickled
        assert "Bearer" in pickle.loads(pickled).request.headers["Authorization"]

    def test_the_callers_request_is_not_written_to(self, iris, sandbox) -> None:
        headers, params, hooks = {"A": "1"}, {"b": "2"}, {"response": []}
        request = requests.Request("GET", "/echo", headers=headers, params=params, hooks=hooks)
        before = copy.deepcopy(vars(request))
        prepared = iris.prepare_request(request)
        prepared_before = copy.deepcopy(vars(prepared)["headers"])
        iris.send(prepared)
        assert vars(request) == before
        assert prepared.headers == prepared_before

    def test_cookies_of_the_token_endpoint_stay_away(self, iris, sandbox) -> None:
        sandbox.inject(Fault(headers={"Set-Cookie": "crumb=1; Path=/"}), on="token")
        iris.get("/echo")
        assert not iris.cookies

    def test_the_bearer_serves_a_plain_session(self, iris: IrisSession, sandbox: Sandbox) -> None:
        with requests.Session() as plain:
            plain.verify = sandbox.ca_file
            plain.auth = iris.bearer
            assert plain.get(f"{sandbox.base_url}/echo").ok
            sandbox.revoke_access_tokens()
            response = plain.post(f"{sandbox.base_url}/echo", data=b"body")
            assert response.json()["size"] == 4
            assert plain.get(f"{sandbox.foreign_url}/echo").ok
        foreign = [seen for seen in sandbox.seen if seen.server == "foreign"]
        assert "Authorization" not in foreign[0].headers


class TestTimeouts:
    @pytest.mark.parametrize("timeout", [None, 5, 0.5, (5, None), (5, 60), Timeout(5)], ids=str)
    def test_each_form_that_requests_has_is_taken(self, timeout) -> None:
        assert IrisSession(default_timeout=timeout).default_timeout == timeout

    @pytest.fixture
    def timeouts(self, iris: IrisSession) -> list[object]:
        seen: list[object] = []

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request, *args, timeout=None, **kwargs):
                seen.append(timeout)
                return super().send(request, *args, timeout=timeout, **kwargs)

        iris.fetch_token()
        iris.mount("https://", Adapter())
        return seen

    def test_allowed_hosts_have_one(self, iris, sandbox, timeouts) -> None:
        iris.get("/echo")
        iris.get("/echo", timeout=5)
        iris.get("/echo", auth=("me", "mine"))
        iris.get(f"{sandbox.foreign_url}/echo")
        assert timeouts == [(10.0, 60.0), 5, (10.0, 60.0), None]
