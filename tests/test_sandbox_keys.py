"""The sandbox's API keys: tokens for client credentials, and the paths that accept them."""

from __future__ import annotations

import pytest

from requests_iris.sandbox import Sandbox

from .support.plain_client import PlainClient

ASSETS, OPERATORS = "/api/asset/v1/assets", "/public/api/operator/operators"


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        yield client


def ask(client: PlainClient, url: str | None = None, **changes: str | None):
    """Ask for a token with the API key. A change to None leaves a field out."""
    settings = client.sandbox.key_settings
    names = ("grant_type", "client_id", "client_secret", "scope")
    form = {**{name: settings[name] for name in names}, **changes}
    data = {name: value for name, value in form.items() if value is not None}
    return client.post(url or client.sandbox.key_token_url, data=data)


def sign_in(client: PlainClient, **changes: str) -> None:
    token = ask(client, **changes).json()
    client.headers["Authorization"] = f"Bearer {token['access_token']}"


def error_of(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


class TestTokens:
    def test_key_gets_a_token_as_documented(self, client):
        token = ask(client, scope="asset.view site.view").json()
        assert set(token) == {"token_type", "expires_in", "access_token", "scope"}
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 1200)
        assert token["scope"] == "asset.view site.view"

    def test_app_gets_a_token_of_the_usual_lifetime(self, sandbox, client):
        assert ask(client, sandbox.app_token_url).json()["expires_in"] == 3600

    def test_lifetime_of_tokens_can_be_changed(self, sandbox, client):
        sandbox.key_token_lifetime = 5
        assert ask(client).json()["expires_in"] == 5

    @pytest.mark.parametrize("name", ["client_id", "client_secret"])
    @pytest.mark.parametrize("value", ["wrong", "", None, "\udcff".encode("utf-8", "replace")])
    def test_wrong_key_is_an_invalid_client(self, sandbox, client, name, value):
        response = ask(client, **{name: value})
        assert error_of(response) == (401, "invalid_client")
        assert "WWW-Authenticate" not in response.headers
        assert sandbox.refused == 1

    @pytest.mark.parametrize("scope", ["asset.view api", "api", "", None, "x"])
    def test_scope_beyond_the_key_is_refused(self, client, scope):
        assert error_of(ask(client, scope=scope)) == (400, "invalid_scope")

    @pytest.mark.parametrize("grant_type", ["password", "refresh_token", "urn:other"])
    def test_other_grants_are_not_supported(self, client, grant_type):
        assert error_of(ask(client, grant_type=grant_type)) == (400, "unsupported_grant_type")

    def test_key_is_no_client_of_the_endpoint_for_users(self, sandbox, client):
        assert error_of(ask(client, sandbox.token_url))[0] in (400, 401)

    def test_second_authentication_by_basic_is_refused(self, sandbox, client):
        settings = sandbox.key_settings
        form = {"grant_type": "client_credentials", "scope": "asset.view"}
        auth = settings["client_id"], settings["client_secret"]
        response = client.post(sandbox.key_token_url, data=form, auth=auth)
        assert error_of(response) == (400, "invalid_request")

    def test_key_with_another_secret_and_other_scopes(self, sandbox, client):
        old = sandbox.key_settings["client_secret"]
        sandbox.change_key_secret("new")
        sandbox.key_scopes = ["a.b"]
        assert error_of(ask(client, client_secret=old)) == (401, "invalid_client")
        assert ask(client).json()["scope"] == "a.b"
        assert sandbox.key_settings["client_secret"] == "new"


class TestPaths:
    def test_paths_accept_the_token_by_scope(self, client):
        sign_in(client, scope="asset.view")
        assert client.get(ASSETS).ok
        assert client.get("/public/api/aemp/v2/15143/-3/Fleet/1").status_code == 403
        assert client.get("/echo").ok

    def test_other_paths_answer_401_as_iris_does(self, client):
        sign_in(client)
        assert client.get(OPERATORS).status_code == 401
        assert client.post("/api/graphql/", json={"query": "{a}"}).status_code == 401

    def test_path_can_be_added_later(self, sandbox, client):
        sign_in(client)
        sandbox.key_paths = {**sandbox.key_paths, "/public/api/operator/": "site.view"}
        assert client.get(OPERATORS).ok

    def test_longest_beginning_of_a_path_decides(self, client, sandbox):
        sandbox.key_paths = {"/api/": None, "/api/asset/": "no.such"}
        sign_in(client)
        assert client.get(ASSETS).status_code == 403

    def test_token_of_a_user_is_accepted_everywhere(self, sandbox, client):
        sandbox.key_paths = {}
        client.sign_in()
        assert client.get(ASSETS).ok
        assert client.get(OPERATORS).ok

    @pytest.mark.parametrize("end", [Sandbox.expire_access_tokens, Sandbox.revoke_access_tokens])
    def test_tokens_of_keys_can_be_ended(self, sandbox, client, end):
        sign_in(client)
        end(sandbox)
        assert client.get(ASSETS).status_code == 401

    def test_token_of_a_key_expires_by_the_clock(self, sandbox, client):
        sign_in(client)
        sandbox.clock.advance(1199)
        assert client.get(ASSETS).ok
        sandbox.clock.advance(2)
        assert client.get(ASSETS).status_code == 401


def test_settings_and_variables_of_the_key_have_the_same_values(sandbox):
    settings, environ = sandbox.key_settings, sandbox.key_environ
    assert {environ[f"TRACKUNIT_{name.upper()}"] for name in settings} == {*settings.values()}
    assert "TRACKUNIT_USERNAME" not in environ
    assert environ["REQUESTS_CA_BUNDLE"] == sandbox.ca_file


def test_token_requests_of_keys_are_counted(sandbox, client):
    ask(client)
    ask(client, client_secret="wrong")
    assert sandbox.count("client_credentials") == sandbox.count("token") == 2
    assert sandbox.count("client_credentials", 401) == 1
    assert len(sandbox.issued) == 1


def test_nothing_secret_of_a_key_is_logged_at_any_level(sandbox, client, caplog):
    caplog.set_level("DEBUG")
    sign_in(client)
    ask(client, client_secret="wrong-secret")
    client.get(ASSETS)
    held = [sandbox.key_settings["client_secret"], "wrong-secret", *sandbox.issued]
    assert not [secret for secret in held if secret in caplog.text]
