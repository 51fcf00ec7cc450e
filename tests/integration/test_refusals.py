"""Credentials that were refused are not tried again and again, which could lock a user out."""

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
    @pytest.fixture(autouse=True)
    def _wrong(self, iris: IrisSession, clock: SkippingClock, setting: str, kind) -> None:
        iris._source.credentials = type(iris._source.credentials)(
            **{**_credentials(iris), setting: "wrong"}
        )
        with pytest.raises(kind) as caught:
            iris.get("/echo")
        self.first = caught.value

    def test_one_call_and_the_same_error_for_a_minute(self, iris, sandbox, clock, kind) -> None:
        for left in (41, 22, 3):
            clock.sleep(19)
            with pytest.raises(kind) as again:
                iris.get("/echo")
            assert str(again.value) == f"{self.first}; the same is not asked again for {left} s"
            assert again.value is not self.first
        assert sandbox.count("token") == 1
        assert sandbox.count("api") == 0

    def test_a_call_again_after_that(self, iris, sandbox, clock, kind) -> None:
        clock.sleep(61)
        with pytest.raises(kind):
            iris.get("/echo")
        assert sandbox.count("token") == 2

    def test_at_once_with_other_credentials(self, iris, sandbox: Sandbox, setting) -> None:
        iris.fetch_token(**{setting: sandbox.settings[setting]})
        assert iris.get("/echo").ok
        assert sandbox.count("token") == 2


def test_a_client_that_is_refused_at_a_renewal_is_not_tried_again(iris, sandbox, clock) -> None:
    iris.fetch_token()
    wrong = {**_credentials(iris), "client_secret": "wrong"}
    iris._source.credentials = type(iris._source.credentials)(**wrong)
    clock.sleep(3600)
    for _ in range(2):
        with pytest.raises(InvalidClientError):
            iris.get("/echo")
    assert iris.counters["refresh_token"] == 1


def test_a_token_that_is_assigned_after_a_refusal_is_renewed_at_once(iris, sandbox, clock) -> None:
    """Its refresh token may be good, whatever was wrong with the password."""
    saved = iris.fetch_token()
    wrong = {**_credentials(iris), "password": "wrong"}
    iris._source.credentials = type(iris._source.credentials)(**wrong)
    with pytest.raises(InvalidGrantError):
        iris.fetch_token()
    iris.token = saved
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1


@pytest.mark.parametrize("setting", ["password", "client_secret"])
def test_what_is_given_and_refused_does_not_replace_what_works(iris, sandbox, setting) -> None:
    iris.fetch_token()
    with pytest.raises(TokenRefusedError):
        iris.fetch_token(**{setting: "wrong"})
    assert "wrong" not in _credentials(iris).values()
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1


def test_what_is_given_is_kept_where_nobody_has_refused_it(iris, sandbox) -> None:
    sandbox.inject(Fault(status=500), on="token", times=3)
    with pytest.raises(TokenResponseError):
        iris.fetch_token(password="new")
    assert _credentials(iris)["password"] == "new"


def _credentials(iris: IrisSession) -> dict[str, str]:
    credentials = iris._source.credentials
    names = ("client_id", "client_secret", "username", "password")
    return {name: getattr(credentials, name) for name in names}
