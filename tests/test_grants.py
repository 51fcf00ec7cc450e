"""Which grant a session uses: as passed, from a variable, or inferred once."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from requests_iris import InvalidClientError, IrisSession, MissingSettingError, SettingError
from requests_iris.grants import BOTH_WAYS

CLIENT = {"client_id": "c", "client_secret": "s"}
KEY = {**CLIENT, "scope": "asset.view"}
SAVED = {"access_token": "a", "refresh_token": "r", "expires_at": 1}


def grant_in_force(iris: IrisSession) -> str:
    return repr(iris).partition("grant_type='")[2].partition("'")[0]


@pytest.mark.parametrize(
    ("settings", "grant"),
    [
        ({}, "password"),
        (CLIENT, "password"),
        (KEY, "client_credentials"),
        ({**KEY, "scope": ["asset.view", "site.view"]}, "client_credentials"),
        ({**KEY, "scope": "api"}, "client_credentials"),
        ({**KEY, "scope": ""}, "password"),
        ({**KEY, "scope": " "}, "password"),
        ({**KEY, "scope": "api offline_access"}, "password"),
        ({**KEY, "client_id": None}, "password"),
        ({**KEY, "client_secret": None}, "password"),
        ({**KEY, "username": "u"}, "password"),
        ({**KEY, "password": "p"}, "password"),
        ({**KEY, "username": ""}, "password"),
        ({**KEY, "password": ""}, "password"),
        ({**KEY, "token": SAVED}, "password"),
        ({**KEY, "token": {}}, "password"),
        ({**KEY, "grant_type": "password"}, "password"),
        ({**CLIENT, "grant_type": "client_credentials"}, "client_credentials"),
        ({"grant_type": "client_credentials"}, "client_credentials"),
        ({**KEY, "grant_type": "client_credentials", "token": SAVED}, "client_credentials"),
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["arguments", "variables"])
def test_grant_follows_from_the_settings(settings, grant, by, monkeypatch) -> None:
    iris = session_by(by, settings, monkeypatch)
    assert grant_in_force(iris) == grant
    assert iris.grant_type == settings.get("grant_type")
    assert grant_in_force(pickle.loads(pickle.dumps(iris))) == grant


def session_by(by: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> IrisSession:
    if by == "arguments":
        return IrisSession(**settings)
    if "" in settings.values() or " " in settings.values():
        pytest.skip("an empty variable counts as not set")
    for name, value in settings.items():
        if name != "token" and value is not None:
            text = value if isinstance(value, str) else " ".join(value)
            monkeypatch.setenv(f"TRACKUNIT_{name.upper()}", text)
    return IrisSession(token=settings.get("token"))


@pytest.mark.parametrize("grant_type", ["", "Password", "client-credentials", "refresh_token", 7])
def test_unknown_grant_type_is_refused_and_both_ways_are_named(grant_type) -> None:
    with pytest.raises(SettingError) as caught:
        IrisSession(grant_type=grant_type)
    assert caught.value.setting == "grant_type"
    assert str(caught.value).endswith(BOTH_WAYS)


@pytest.mark.parametrize("value", [[], {}, False, 0, b"password"], ids=repr)
def test_grant_type_of_another_type_is_refused(value) -> None:
    with pytest.raises(SettingError, match=f"not {type(value).__name__}"):
        IrisSession(grant_type=value)


def test_unknown_grant_type_of_a_variable_names_the_variable(monkeypatch) -> None:
    monkeypatch.setenv("ACME_GRANT_TYPE", "implicit")
    with pytest.raises(SettingError, match="^ACME_GRANT_TYPE: ") as caught:
        IrisSession.from_env("ACME_")
    assert caught.value.variable == "ACME_GRANT_TYPE"


@pytest.mark.parametrize("name", ["username", "password"])
class TestKeyWithAUser:
    def test_passed_user_is_refused(self, name) -> None:
        with pytest.raises(SettingError) as caught:
            IrisSession(**KEY, grant_type="client_credentials", **{name: "x"})
        assert str(caught.value).endswith(BOTH_WAYS)

    def test_passed_user_is_refused_if_the_grant_is_a_variable(self, name, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_GRANT_TYPE", "client_credentials")
        with pytest.raises(SettingError) as caught:
            IrisSession(**KEY, **{name: "x"})
        assert caught.value.variable == "TRACKUNIT_GRANT_TYPE"

    def test_variable_of_a_user_is_refused_if_the_grant_is_a_variable(
        self, name, monkeypatch
    ) -> None:
        monkeypatch.setenv("TRACKUNIT_GRANT_TYPE", "client_credentials")
        monkeypatch.setenv(f"TRACKUNIT_{name.upper()}", "x")
        with pytest.raises(SettingError) as caught:
            IrisSession(**KEY)
        assert str(caught.value).endswith(BOTH_WAYS)

    def test_passed_grant_wins_over_the_variables_of_a_user(self, name, monkeypatch) -> None:
        """A program with two credentials, and the variables of the API User."""
        monkeypatch.setenv(f"TRACKUNIT_{name.upper()}", "x")
        iris = IrisSession(**KEY, grant_type="client_credentials")
        again = pickle.loads(pickle.dumps(iris))
        assert grant_in_force(iris) == grant_in_force(again) == "client_credentials"
        assert iris.username is again.username is None


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://auth.trackunit.com/token"),
        (KEY, "https://auth.trackunit.com/token/v2"),
        ({"grant_type": "client_credentials"}, "https://auth.trackunit.com/token/v2"),
        ({**KEY, "token_url": "https://h/apptoken"}, "https://h/apptoken"),
        ({"token_url": "https://h/token/"}, "https://h/token/"),
    ],
    ids=str,
)
def test_token_url_follows_the_grant(settings, url) -> None:
    iris = IrisSession(**settings)
    for each in (iris, pickle.loads(pickle.dumps(iris))):
        assert each.token_url == each.auto_refresh_url == url


def test_offline_access_is_refused_for_a_key_at_creation_and_later(monkeypatch) -> None:
    with pytest.raises(SettingError, match="offline_access") as caught:
        IrisSession(**CLIENT, scope="api offline_access", grant_type="client_credentials")
    assert caught.value.setting == "scope"
    monkeypatch.setenv("TRACKUNIT_SCOPE", "offline_access")
    with pytest.raises(SettingError, match="^TRACKUNIT_SCOPE: ") as caught:
        IrisSession(**CLIENT, grant_type="client_credentials")
    iris = IrisSession(**KEY)
    with pytest.raises(SettingError, match="offline_access"):
        iris.scope = ["asset.view", "offline_access"]
    assert iris.scope == "asset.view"


@pytest.mark.parametrize("given", [{}, {"client_id": "c"}, CLIENT], ids=str)
def test_missing_settings_of_a_key_are_named_at_the_first_request(given) -> None:
    missing = [name for name in KEY if name not in given]
    with (
        IrisSession(**given, grant_type="client_credentials") as iris,
        pytest.raises(MissingSettingError) as caught,
    ):
        iris.get("/api/asset/v1/assets")
    assert caught.value.setting == missing[0]
    for name in missing:
        assert f"`{name}=`" in str(caught.value)
        assert f"TRACKUNIT_{name.upper()}" in str(caught.value)
    assert "username" not in str(caught.value)


def test_a_missing_user_is_named_together_with_the_way_of_an_api_key() -> None:
    with IrisSession(**CLIENT) as iris, pytest.raises(MissingSettingError) as caught:
        iris.get("/api/asset/v1/assets")
    assert str(caught.value) == (
        "No username and no password. Pass `username=` and `password=` to IrisSession or set "
        "TRACKUNIT_USERNAME and TRACKUNIT_PASSWORD. For an API key, set scope instead of username "
        "and password."
    )


class TestAUserNamedLater:
    """As programs for OAuth2Session do: fetch_token(username=..., password=...)."""

    @pytest.fixture
    def user(self, sandbox) -> dict[str, str]:
        return {name: sandbox.settings[name] for name in ("username", "password")}

    def session(self, sandbox, **settings: Any) -> IrisSession:
        client = {name: sandbox.settings[name] for name in ("client_id", "client_secret")}
        urls = {name: sandbox.settings[name] for name in ("base_url", "token_url")}
        iris = IrisSession(**{**client, **urls, "scope": "api", **settings})
        iris.verify = sandbox.ca_file
        return iris

    @pytest.mark.parametrize("scope", ["api", "api offline_access", None])
    def test_user_who_is_named_in_fetch_token_keeps_the_password_grant(
        self, sandbox, user, scope
    ) -> None:
        with self.session(sandbox, scope=scope) as iris:
            iris.fetch_token(sandbox.token_url, **user)
            assert grant_in_force(iris) == "password"
            iris.token = {}
            assert iris.get("/echo").ok
        assert sandbox.count("token") == sandbox.count("password") == 2

    def test_password_grant_has_its_own_default_of_the_token_url(self) -> None:
        iris = IrisSession(**KEY)
        with pytest.raises(MissingSettingError):
            iris.fetch_token("https://auth.trackunit.com/token", username="u")
        with pytest.raises(SettingError, match="token_url"):
            iris.fetch_token("https://auth.trackunit.com/token/v2", username="u")
        with pytest.raises(SettingError, match="token_url"):
            iris.fetch_token("https://auth.trackunit.com/token")

    def test_refused_user_changes_nothing(self, sandbox, user) -> None:
        with self.session(sandbox) as iris:
            with pytest.raises(Exception, match="invalid_grant"):
                iris.fetch_token(**{**user, "password": "wrong"})
            assert grant_in_force(iris) == "client_credentials"

    def test_user_is_refused_if_the_caller_passed_the_grant(self, sandbox, user) -> None:
        with self.session(sandbox, grant_type="client_credentials") as iris:
            with pytest.raises(SettingError) as caught:
                iris.fetch_token(**user)
            assert str(caught.value).endswith(BOTH_WAYS)
            assert caught.value.setting == "grant_type"
        assert sandbox.count("token") == 0


class TestForgottenUsername:
    def test_first_refusal_of_an_inferred_grant_says_that_no_username_was_set(
        self, sandbox
    ) -> None:
        settings = {**sandbox.key_settings, "grant_type": None, "client_secret": "wrong"}
        with IrisSession(**settings) as iris:
            iris.verify = sandbox.ca_file
            for _ in range(2):
                with pytest.raises(InvalidClientError) as caught:
                    iris.get("/echo")
                assert str(caught.value).count("No username was set") == 1

    def test_refusal_of_a_passed_grant_does_not_mention_a_username(self, sandbox) -> None:
        with IrisSession(**{**sandbox.key_settings, "client_secret": "wrong"}) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(InvalidClientError) as caught:
                iris.get("/echo")
            assert "username" not in str(caught.value)

    def test_refusal_after_a_token_does_not_mention_a_username(self, sandbox) -> None:
        with IrisSession(**{**sandbox.key_settings, "grant_type": None}) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok
            sandbox.change_key_secret("another")
            sandbox.revoke_access_tokens()
            with pytest.raises(InvalidClientError) as caught:
                iris.get("/echo")
            assert "username" not in str(caught.value)
