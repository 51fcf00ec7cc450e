"""The sandbox's authorization server: grants, refusals, and the lifetime of tokens."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from requests_iris.sandbox import Sandbox

from .support.plain_client import PlainClient

AWKWARD = ["a:b", "a&b=c", "a+b", "100%", "%41", "two words ", "é", "\N{TRACTOR}", "\"'\\", ""]


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        yield client


def error_of(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


class TestPasswordGrant:
    def test_password_grant_responds_as_documented(self, client):
        token = client.ask_by_password().json()
        assert set(token) == {
            *("token_type", "expires_in", "access_token", "refresh_token", "scope")
        }
        assert token["token_type"] == "Bearer"
        assert token["expires_in"] == 3600
        assert token["scope"] == "api offline_access"

    def test_a_refresh_token_comes_only_with_offline_access(self, client):
        token = client.ask_by_password(scope="api").json()
        assert token["scope"] == "api"
        assert "refresh_token" not in token

    def test_the_api_is_granted_when_no_scope_is_asked_for(self, client):
        assert client.ask_by_password(scope="").json()["scope"] == "api"
        assert client.ask_by_password(scope=None).json()["scope"] == "api"

    def test_two_spaces_in_the_scope_count_as_a_single_space(self, client):
        assert client.ask_by_password(scope="api  offline_access").json()["scope"] == (
            "api offline_access"
        )

    def test_an_unknown_scope_is_refused(self, client):
        assert error_of(client.ask_by_password(scope="api all")) == (400, "invalid_scope")

    @pytest.mark.parametrize("wrong", ["username", "password"])
    def test_a_wrong_user_is_refused(self, client, wrong):
        assert error_of(client.ask_by_password(**{wrong: "wrong"})) == (400, "invalid_grant")

    @pytest.mark.parametrize("missing", ["username", "password", "grant_type"])
    def test_an_incomplete_form_is_an_invalid_request(self, sandbox, client, missing):
        form = {
            "grant_type": "password",
            "username": sandbox.settings["username"],
            "password": sandbox.settings["password"],
        }
        del form[missing]
        assert error_of(client.ask(**form)) == (400, "invalid_request")

    @pytest.mark.parametrize("basic", ["wrong:wrong", "", "no-colon"])
    def test_a_wrong_client_is_refused(self, client, basic):
        response = client.ask_by_password(basic=basic)
        assert error_of(response) == (401, "invalid_client")
        assert response.headers["WWW-Authenticate"].startswith("Basic ")

    @pytest.mark.parametrize("header", [None, "Basic", "Bearer x", "Basic !!"])
    def test_no_client_is_refused(self, sandbox, client, header):
        form = {"grant_type": "password", "username": "x", "password": "x"}
        headers = {"Authorization": header}
        response = client.post(sandbox.token_url, data=form, headers=headers)
        assert error_of(response) == (401, "invalid_client")

    def test_client_credentials_in_the_body_do_not_count(self, sandbox, client):
        settings = sandbox.settings
        response = client.ask_by_password(
            basic="x:y", client_id=settings["client_id"], client_secret=settings["client_secret"]
        )
        assert error_of(response) == (401, "invalid_client")

    @pytest.mark.parametrize("text", AWKWARD)
    def test_odd_characters_arrive_as_they_are(self, text):
        given = dict(client_id="id", client_secret=text, username=text, password=text)
        with Sandbox(**given) as sandbox, PlainClient(sandbox) as client:
            assert client.ask_by_password().ok
            assert sandbox.seen[0].form["password"] == text
            assert not client.ask_by_password(password=text + "x").ok
            assert not client.ask_by_password(basic=f"id:{text}x").ok

    def test_a_url_encoded_client_is_another_client(self):
        with Sandbox(client_secret="a+b") as sandbox, PlainClient(sandbox) as client:
            basic = f"{sandbox.settings['client_id']}:a%2Bb"
            assert error_of(client.ask_by_password(basic=basic)) == (401, "invalid_client")

    def test_a_changed_password_replaces_the_old_one(self, sandbox, client):
        old = sandbox.settings["password"]
        sandbox.change_password("new")
        assert error_of(client.ask_by_password(password=old)) == (400, "invalid_grant")
        assert client.ask_by_password(password="new").ok
        assert sandbox.settings["password"] == "new"


class TestRefreshTokenGrant:
    def test_refresh_grant_brings_two_new_tokens_of_the_same_scope(self, sandbox, client):
        old = client.ask_by_password().json()
        new = client.ask_by_refresh_token(old["refresh_token"]).json()
        assert new["access_token"] != old["access_token"]
        assert new["refresh_token"] != old["refresh_token"]
        assert new["scope"] == old["scope"]
        assert sandbox.issued == (old["access_token"], new["access_token"])
        assert sandbox.refresh_token == new["refresh_token"]

    def test_the_new_refresh_token_works_in_its_turn(self, client):
        token = client.ask_by_password().json()
        for _ in range(3):
            response = client.ask_by_refresh_token(token["refresh_token"])
            assert response.ok
            token = response.json()

    def test_a_used_refresh_token_is_refused(self, client):
        token = client.ask_by_password().json()
        client.ask_by_refresh_token(token["refresh_token"])
        again = client.ask_by_refresh_token(token["refresh_token"])
        assert error_of(again) == (400, "invalid_grant")

    def test_a_refresh_token_works_once_for_8_simultaneous_requests(self, sandbox, client):
        token = client.ask_by_password().json()

        def renew(_: int) -> int:
            with PlainClient(sandbox) as client:
                return client.ask_by_refresh_token(token["refresh_token"]).status_code

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(renew, range(8))) == [200] + [400] * 7
        assert sandbox.refused == 7

    def test_a_scope_that_was_not_granted_is_refused_and_uses_nothing_up(self, client):
        token = client.ask_by_password().json()
        wider = client.ask_by_refresh_token(token["refresh_token"], scope="api all")
        assert error_of(wider) == (400, "invalid_scope")
        assert client.ask_by_refresh_token(token["refresh_token"]).ok

    def test_a_wrong_client_uses_nothing_up(self, client):
        token = client.ask_by_password().json()
        refused = client.ask_by_refresh_token(token["refresh_token"], basic="x:y")
        assert error_of(refused) == (401, "invalid_client")
        assert client.ask_by_refresh_token(token["refresh_token"]).ok

    def test_a_revoked_refresh_token_is_refused(self, sandbox, client):
        token = client.ask_by_password().json()
        sandbox.revoke_refresh_tokens()
        response = client.ask_by_refresh_token(token["refresh_token"])
        assert error_of(response) == (400, "invalid_grant")
        assert client.ask_by_password().ok

    def test_a_refresh_token_survives_a_new_password(self, sandbox, client):
        token = client.ask_by_password().json()
        sandbox.change_password("new")
        assert client.ask_by_refresh_token(token["refresh_token"]).ok


class TestEndpoint:
    def test_token_endpoint_is_at_its_path_only(self, sandbox, client):
        assert client.post(sandbox.token_url + "/v3").status_code == 404

    def test_token_endpoint_accepts_post_only(self, sandbox, client):
        assert client.get(sandbox.token_url).status_code == 405
        assert sandbox.refused == 0

    def test_token_endpoint_accepts_no_query(self, sandbox, client):
        sandbox_url = sandbox.token_url + "?tenant=7"
        assert error_of(client.post(sandbox_url, data={})) == (400, "invalid_request")

    def test_other_grants_are_not_supported(self, client):
        refused = client.ask_by_password(grant_type="urn:other")
        assert error_of(refused) == (400, "unsupported_grant_type")

    def test_refused_token_requests_are_counted(self, sandbox, client):
        client.ask_by_password()
        client.ask_by_password(password="wrong")
        client.ask_by_password(basic="x:y")
        assert sandbox.refused == 2
        assert len(sandbox.issued) == 1

    def test_tokens_are_long_and_travel_in_a_header(self, client):
        token = client.ask_by_password().json()
        for name in ("access_token", "refresh_token"):
            assert len(token[name]) >= 40
            assert all("!" <= character <= "~" for character in token[name])


class TestLifetime:
    def test_a_token_of_a_fraction_of_a_second_is_valid_until_its_end(self, sandbox, client):
        """By the system's clock: the test waits. test_sandbox_clock.py moves a clock instead."""
        sandbox.token_lifetime = 0.5
        before = time.monotonic()
        assert client.sign_in()["expires_in"] == 0.5
        after = time.monotonic()
        while time.monotonic() <= after + 0.5:
            good = client.get("/echo").ok
            assert good or time.monotonic() >= before + 0.5
            time.sleep(0.05)
        assert client.get("/echo").status_code == 401

    def test_a_changed_lifetime_holds_for_new_tokens_only(self, sandbox, client):
        client.sign_in()
        sandbox.token_lifetime = 0.001
        assert client.ask_by_password().json()["expires_in"] == 0.001
        sandbox.clock.advance(1)
        assert client.get("/echo").ok

    def test_a_token_of_lifetime_0_is_accepted_until_it_is_expired_by_force(self, sandbox, client):
        sandbox.token_lifetime = 0
        assert client.sign_in()["expires_in"] == 0
        assert client.get("/echo").ok
        sandbox.expire_access_tokens()
        assert client.get("/echo").status_code == 401

    @pytest.mark.parametrize("end", [Sandbox.expire_access_tokens, Sandbox.revoke_access_tokens])
    def test_tokens_can_be_ended_and_later_tokens_are_valid(self, sandbox, client, end):
        client.sign_in()
        end(sandbox)
        assert client.get("/echo").status_code == 401
        client.sign_in()
        assert client.get("/echo").ok

    def test_a_renewal_does_not_end_the_token_before(self, client):
        token = client.sign_in()
        client.ask_by_refresh_token(token["refresh_token"])
        assert client.get("/echo").ok


def test_nothing_secret_is_logged_at_any_level(sandbox, client, caplog):
    caplog.set_level(logging.DEBUG)
    token = client.sign_in()
    client.ask_by_refresh_token(token["refresh_token"])
    client.ask_by_refresh_token(token["refresh_token"])
    client.get("/echo")
    held = [sandbox.settings["password"], sandbox.settings["client_secret"], *sandbox.issued]
    assert not [secret for secret in [*held, token["refresh_token"]] if secret in caplog.text]


def test_sandbox_writes_nothing_to_the_terminal(sandbox, client, capfd):
    client.sign_in()
    client.get("/nothing")
    sandbox.close()
    assert capfd.readouterr() == ("", "")
