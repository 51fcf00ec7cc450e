"""Credentials that were refused are not tried again and again, which could lock a user out."""

from __future__ import annotations

import pytest

from requests_iris import InvalidClientError, InvalidGrantError, IrisSession
from requests_iris.sandbox import Sandbox

from ..conftest import SkippingClock


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
        for _ in range(3):
            clock.sleep(19)
            with pytest.raises(kind) as again:
                iris.get("/echo")
            assert str(again.value) == str(self.first)
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


def _credentials(iris: IrisSession) -> dict[str, str]:
    credentials = iris._source.credentials
    names = ("client_id", "client_secret", "username", "password")
    return {name: getattr(credentials, name) for name in names}
