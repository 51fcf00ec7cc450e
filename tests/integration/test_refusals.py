"""Refused credentials are not sent again and again, which could lock a user out."""

from __future__ import annotations

import pytest

from requests_iris import (
    InvalidClientError,
    InvalidGrantError,
    IrisSession,
    TokenRefusedError,
    TokenResponseError,
)
from requests_iris.sandbox import Fault, Sandbox

from ..support.clocks import SkippingClock


@pytest.mark.parametrize(
    ("setting", "kind"), [("password", InvalidGrantError), ("client_secret", InvalidClientError)]
)
class TestRefused:
    @pytest.fixture
    def iris(self, sandbox: Sandbox, clock: SkippingClock, setting: str, kind):
        with IrisSession(**{**sandbox.settings, setting: "wrong"}, clock=clock) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(kind) as caught:
                iris.get("/echo")
            self.first = caught.value
            yield iris

    def test_refused_credentials_make_one_token_request_a_minute(
        self, iris, sandbox, clock, kind
    ) -> None:
        for left in (41, 22, 3):
            clock.sleep(19)
            with pytest.raises(kind) as again:
                iris.get("/echo")
            assert str(again.value) == f"{self.first} No new token request is made for {left} s."
            assert again.value is not self.first
        assert sandbox.count("token") == 1
        assert sandbox.count("api") == 0

    def test_refused_credentials_are_sent_again_after_a_minute(
        self, iris, sandbox, clock, kind
    ) -> None:
        clock.sleep(61)
        with pytest.raises(kind):
            iris.get("/echo")
        assert sandbox.count("token") == 2

    def test_other_credentials_are_sent_at_once(self, iris, sandbox: Sandbox, setting) -> None:
        iris.fetch_token(**{setting: sandbox.settings[setting]})
        assert iris.get("/echo").ok
        assert sandbox.count("token") == 2


def test_a_client_that_is_refused_at_a_renewal_is_not_tried_again(iris, sandbox, clock) -> None:
    with IrisSession(
        **{**sandbox.settings, "client_secret": "wrong"}, token=iris.fetch_token(), clock=clock
    ) as other:
        other.verify = sandbox.ca_file
        clock.sleep(3600)
        for _ in range(2):
            with pytest.raises(InvalidClientError):
                other.get("/echo")
        assert other.counters["refresh_token"] == 1


def test_a_token_that_is_assigned_after_a_refusal_is_renewed_at_once(iris, sandbox, clock) -> None:
    """Its refresh token may be good, whatever was wrong with the password."""
    saved = iris.fetch_token()
    sandbox.change_password("changed")
    with pytest.raises(InvalidGrantError):
        iris.fetch_token()
    iris.token = saved
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1


@pytest.mark.parametrize("setting", ["password", "client_secret"])
def test_refused_arguments_of_fetch_token_do_not_replace_the_credentials(
    iris, sandbox, setting
) -> None:
    iris.fetch_token()
    with pytest.raises(TokenRefusedError):
        iris.fetch_token(**{setting: "wrong"})
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1
    assert iris.fetch_token()


def test_arguments_of_fetch_token_are_kept_after_a_network_fault(iris, sandbox) -> None:
    sandbox.inject(Fault(status=500), on="token", times=3)
    with pytest.raises(TokenResponseError):
        iris.fetch_token(password="new")
    sandbox.change_password("new")
    assert iris.get("/echo").ok
