"""The whole life of the token of an API key: over TLS, against oauthlib's server side."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_iris import (
    FileTokenStore,
    InvalidClientError,
    InvalidScopeError,
    IrisSession,
    RedisTokenStore,
    SettingError,
    TokenRefusedError,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.stores import TokenStore, key_of

from ..support.clocks import SkippingClock
from ..support.processes import context
from ..support.redis_server import RedisServer
from .test_processes import forked, needs_fork

ASSETS, OPERATORS = "/api/asset/v1/assets", "/public/api/operator/operators"
PROCESSES = 8
#: Seconds after which a process counts as stuck.
STUCK = 60


@pytest.fixture
def iris(sandbox: Sandbox, clock: SkippingClock) -> Iterator[IrisSession]:
    with IrisSession(**sandbox.key_settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris


def token_requests(sandbox: Sandbox) -> int:
    """How many tokens were asked for. Each token request is one of the client_credentials grant."""
    assert sandbox.count("token") == sandbox.count("client_credentials")
    return sandbox.count("token")


def read_fleet_twice(environ: dict[str, str], pipe: Any) -> None:
    """A program of its own. It reads the fleet, waits for a message, and reads the fleet again."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        with IrisSession() as iris:
            pipe.send(sum(1 for _ in iris.items(ASSETS)))
            pipe.recv()
            pipe.send(sum(1 for _ in iris.items(ASSETS)))


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_programs_with_three_variables_share_a_token_for_more_than_20_minutes(
    sandbox: Sandbox, tmp_path: Path, monkeypatch, kind: str, request
) -> None:
    """Client id, client secret and scope lead 8 processes and this process to one token request.

    This process outlives 20 minutes and a revocation, with one token request each.
    """
    environ = {**sandbox.key_environ}
    del environ["TRACKUNIT_GRANT_TYPE"]
    place = str(tmp_path / "token.json")
    if kind == "redis":
        place = request.getfixturevalue("redis_server").url
    environ["TRACKUNIT_TOKEN_STORE"] = place
    programs = []
    for _ in range(PROCESSES):
        pipe, theirs = context.Pipe()
        process = context.Process(target=read_fleet_twice, args=(environ, theirs))
        process.start()
        programs.append((pipe, process))
    for pipe, _ in programs:
        assert pipe.poll(STUCK)
        assert pipe.recv() == len(sandbox.asset_ids)
    assert token_requests(sandbox) == 1
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    clock = SkippingClock()
    with IrisSession(clock=clock) as iris:
        assert {asset["id"] for asset in iris.items(ASSETS)} == {*sandbox.asset_ids}
        assert iris.token["expires_in"] == 1200
        assert token_requests(sandbox) == 1
        for each in (clock, sandbox.clock):
            each.advance(1201)
        assert iris.get(ASSETS).ok
        assert sandbox.count("api", 401) == 0, "the session renewed before the token was rejected"
        assert token_requests(sandbox) == 2
        sandbox.revoke_access_tokens()
        assert iris.get(ASSETS).ok
        assert token_requests(sandbox) == 3
    for pipe, process in programs:
        pipe.send("again")
        assert pipe.poll(STUCK)
        assert pipe.recv() == len(sandbox.asset_ids)
        process.join(STUCK)
    assert token_requests(sandbox) == 3, "the processes took the token of this process"


class TestRequest:
    def test_id_and_secret_travel_in_the_body_without_a_basic_header(self, iris, sandbox) -> None:
        iris.get("/echo")
        asked = sandbox.seen[0]
        settings = sandbox.key_settings
        assert asked.path == "/token/v2"
        assert "Authorization" not in asked.headers
        assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert dict(asked.form) == {
            "grant_type": "client_credentials",
            "client_id": settings["client_id"],
            "client_secret": settings["client_secret"],
            "scope": settings["scope"],
        }

    @pytest.mark.parametrize("text", ["a&b=c", "a+b", "100%", "two words ", "\N{TRACTOR}é", ""])
    def test_odd_characters_arrive_as_they_are(self, text) -> None:
        key = {"key_id": text, "key_secret": text}
        with Sandbox(**key) as sandbox, IrisSession(**sandbox.key_settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok

    def test_app_token_endpoint_works_by_its_url(self, sandbox) -> None:
        settings = {**sandbox.key_settings, "token_url": sandbox.app_token_url}
        with IrisSession(**settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok
            assert iris.token["expires_in"] == 3600
        assert sandbox.seen[0].path == "/apptoken"

    def test_key_at_the_endpoint_of_users_is_refused_with_one_warning(
        self, sandbox, caplog, clock
    ) -> None:
        settings = {**sandbox.key_settings, "token_url": sandbox.token_url}
        with IrisSession(**settings, clock=clock) as iris:
            iris.verify = sandbox.ca_file
            for _ in range(2):
                with pytest.raises(TokenRefusedError):
                    iris.get("/echo")
                clock.sleep(61)
        warned = [r.getMessage() for r in caplog.records if "Client credentials go to" in r.msg]
        assert len(warned) == 1
        assert sandbox.token_url in warned[0]

    def test_no_warning_at_the_endpoint_of_keys(self, iris, caplog) -> None:
        iris.get("/echo")
        assert [r for r in caplog.records if r.levelname == "WARNING"] == []


class TestLife:
    def test_token_is_expiring_from_300_seconds_before_its_end(self, iris, sandbox, clock) -> None:
        iris.get("/echo")
        clock.sleep(899 - clock.advanced)
        iris.get("/echo")
        assert token_requests(sandbox) == 1
        clock.sleep(2)
        iris.get("/echo")
        assert token_requests(sandbox) == 2

    def test_failed_early_renewal_disturbs_nobody(self, iris, sandbox, clock) -> None:
        iris.get("/echo")
        clock.sleep(1000)
        sandbox.inject(Fault(status=503), on="token", times=3)
        assert iris.get("/echo").ok
        assert iris.access_token == sandbox.issued[0]

    def test_64_threads_share_one_token_request(self, iris, sandbox) -> None:
        for issued in (1, 2):
            with ThreadPoolExecutor(64) as pool:
                assert all(r.ok for r in pool.map(iris.get, ["/echo"] * 128))
            assert token_requests(sandbox) == issued
            sandbox.revoke_access_tokens()

    @needs_fork
    def test_forked_child_uses_and_renews_the_token(self, iris, sandbox) -> None:
        iris.get("/echo")
        with forked(lambda: iris.get("/echo").ok):
            pass
        assert token_requests(sandbox) == 1
        sandbox.revoke_access_tokens()
        with forked(lambda: iris.get("/echo").ok):
            pass
        assert token_requests(sandbox) == 2

    def test_unpickled_session_has_the_token_and_renews_it(self, iris, sandbox) -> None:
        iris.get("/echo")
        with pickle.loads(pickle.dumps(iris)) as again:
            assert again.get("/echo").ok
            assert token_requests(sandbox) == 1
            sandbox.revoke_access_tokens()
            assert again.get("/echo").ok
            assert again.grant_type == "client_credentials"
        assert token_requests(sandbox) == 2

    def test_unpickled_session_reads_the_variables_of_its_prefix(
        self, sandbox, monkeypatch
    ) -> None:
        """Two credentials in one program: an API User, and an API key with a prefix of its own."""
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        for name, value in sandbox.key_environ.items():
            monkeypatch.setenv(name.replace("TRACKUNIT_", "TRACKUNIT_GQL_"), value)
        with IrisSession() as user, IrisSession.from_env(prefix="TRACKUNIT_GQL_") as key:
            assert user.get("/echo").ok
            for each in (key, pickle.loads(pickle.dumps(key))):
                each.fetch_token()
                assert each.get("/echo").ok
                assert each.username is None
                assert "grant_type='client_credentials'" in repr(each)
        assert (sandbox.count("password"), sandbox.count("client_credentials")) == (1, 2)

    def test_fetch_token_bearer_and_counters_know_the_grant(self, iris, sandbox) -> None:
        token = iris.fetch_token()
        assert token["access_token"] == sandbox.issued[-1]
        with requests.Session() as plain:
            plain.verify, plain.auth, plain.trust_env = iris.verify, iris.bearer, False
            assert plain.get(sandbox.base_url + "/echo").ok
            sandbox.revoke_access_tokens()
            assert plain.get(sandbox.base_url + "/echo").ok
        assert iris.counters["client_credentials"] == iris.counters["tokens"] == 2
        assert iris.counters["password"] == iris.counters["refresh_token"] == 0

    def test_replaced_secret_is_used_from_then_on(self, iris, sandbox) -> None:
        sandbox.change_key_secret("new")
        with pytest.raises(InvalidClientError):
            iris.get("/echo")
        iris.fetch_token(client_secret="new")
        assert iris.get("/echo").ok


class TestNoRefreshToken:
    def test_refresh_token_says_that_there_is_none(self, iris, sandbox) -> None:
        iris.get("/echo")
        for call in (iris.refresh_token, lambda: iris.refresh_token(refresh_token="r")):
            with pytest.raises(SettingError, match="has no refresh token") as caught:
                call()
            assert caught.value.setting == "grant_type"
        assert token_requests(sandbox) == 1

    def test_refresh_token_in_a_response_is_ignored(self, iris, sandbox) -> None:
        updates: list[dict[str, Any]] = []
        iris.token_updater = updates.append
        sandbox.inject(Fault(reply={"refresh_token": "surprise"}), on="token")
        iris.get("/echo")
        assert "refresh_token" not in iris.token
        assert "refresh_token" not in updates[0]
        sandbox.revoke_access_tokens()
        assert iris.get("/echo").ok
        assert token_requests(sandbox) == 2

    def test_refresh_token_in_a_saved_token_is_ignored(self, sandbox) -> None:
        saved = {"access_token": "old", "refresh_token": "saved", "expires_at": 1, "expires_in": 9}
        with IrisSession(**sandbox.key_settings, token=saved) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok
        assert token_requests(sandbox) == 1


class TestRefusals:
    def test_scope_that_is_refused_is_named_and_not_asked_for_again(self, sandbox, clock) -> None:
        sandbox.key_scopes = ["asset.view"]
        settings = {**sandbox.key_settings, "scope": "asset.view site.view"}
        with IrisSession(**settings, clock=clock) as iris:
            iris.verify = sandbox.ca_file
            for _ in range(3):
                with pytest.raises(InvalidScopeError, match="'asset.view site.view'") as caught:
                    iris.get("/echo")
                clock.sleep(15)
            assert isinstance(caught.value, TokenRefusedError)
            assert token_requests(sandbox) == 1
            sandbox.key_scopes = ["asset.view", "site.view"]
            clock.sleep(30)
            assert iris.get("/echo").ok

    def test_smaller_granted_scope_is_accepted_with_one_warning(
        self, iris, sandbox, caplog
    ) -> None:
        sandbox.inject(Fault(scope="asset.view"), on="token", times=9)
        for _ in range(3):
            assert iris.get("/echo").ok
            sandbox.revoke_access_tokens()
        warned = [r for r in caplog.records if "granted the scope" in r.getMessage()]
        assert len(warned) == 1
        assert iris.token["scope"] == ["asset.view"]

    def test_any_scope_name_is_sent(self, sandbox) -> None:
        sandbox.key_scopes = ["no.such:scope/v9"]
        with IrisSession(**sandbox.key_settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok

    @pytest.mark.parametrize("body", ["", "Unauthorized", "{}", "<html>"])
    def test_bare_401_of_the_token_endpoint_is_an_invalid_client(self, iris, sandbox, body) -> None:
        sandbox.inject(Fault(status=401, body=body), on="token")
        with pytest.raises(InvalidClientError, match="Check client_id and client_secret"):
            iris.get("/echo")
        with pytest.raises(InvalidClientError, match="No new token request"):
            iris.get("/echo")
        assert token_requests(sandbox) == 1

    @pytest.mark.parametrize("code", ["invalid_grant", "unauthorized_client", "access_denied"])
    def test_advice_of_a_refusal_names_no_user(self, iris, sandbox, code) -> None:
        sandbox.inject(Fault(status=400, body={"error": code}), on="token")
        with pytest.raises(TokenRefusedError) as caught:
            iris.get("/echo")
        assert "user" not in str(caught.value).lower()


class TestApisThatDoNotKnowKeys:
    def test_path_without_keys_costs_one_renewal_a_minute(
        self, iris, sandbox, clock, caplog
    ) -> None:
        for _ in range(30):
            assert iris.get(OPERATORS).status_code == 401
        assert token_requests(sandbox) == 2
        assert iris.get(ASSETS).ok
        sandbox.revoke_access_tokens()
        assert iris.get(ASSETS).ok, "a revocation is cured at once on other paths"
        assert token_requests(sandbox) == 3
        (warning,) = [r.getMessage() for r in caplog.records if "rejects even" in r.getMessage()]
        assert OPERATORS in warning
        assert "client_credentials grant" in warning
        sandbox.key_paths = {**sandbox.key_paths, "/public/api/operator/": None}
        clock.sleep(61)
        assert iris.get(OPERATORS).ok

    def test_scope_that_is_missing_is_a_403_without_a_renewal(self, sandbox) -> None:
        with IrisSession(**{**sandbox.key_settings, "scope": "site.view"}) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(ASSETS).status_code == 403
        assert token_requests(sandbox) == 1


@pytest.fixture(params=["file", "redis"])
def store(request, tmp_path: Path) -> TokenStore:
    if request.param == "file":
        return FileTokenStore(tmp_path / "token.json")
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisTokenStore(server.url)


class TestStores:
    def test_generations_of_one_client_have_different_entries(self, store) -> None:
        """The API key and the client of the API User have the same id, secret and scope."""
        with Sandbox(client_id="c", client_secret="s", key_id="c", key_secret="s") as sandbox:
            sandbox.key_scopes = ["api"]
            common = {"scope": "api", "token_store": store}
            with (
                IrisSession(**{**sandbox.settings, **common}) as user,
                IrisSession(**{**sandbox.key_settings, **common}) as key,
                IrisSession(**{**sandbox.key_settings, **common}) as other,
            ):
                for each in (user, key, other):
                    each.verify = sandbox.ca_file
                    assert each.get("/echo").ok
                assert user.access_token != key.access_token == other.access_token
            assert sandbox.count("password") == sandbox.count("client_credentials") == 1

    def test_scopes_of_one_key_have_different_entries(self, store, sandbox) -> None:
        settings = {**sandbox.key_settings, "token_store": store}
        for scope in ("asset.view site.view", "site.view asset.view", "asset.view"):
            with IrisSession(**{**settings, "scope": scope}) as iris:
                iris.verify = sandbox.ca_file
                assert iris.get("/echo").ok
        assert token_requests(sandbox) == 2

    def test_entry_under_the_former_key_is_removed_at_the_first_save(self, store, sandbox) -> None:
        settings = sandbox.settings
        former = key_of(
            settings["token_url"],
            settings["client_id"],
            settings["username"],
            ["api", "offline_access"],
        )
        other = key_of("another user")
        for key in (former, other):
            with store.lock(key, 5):
                store.save(key, {"access_token": "old", "expires_at": 1})
        with IrisSession(**settings, token_store=store) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok
            assert store.load(former) is None
            assert store.load(other) is not None
            with store.lock(former, 5):
                store.save(former, {"access_token": "of the earlier release"})
            iris.fetch_token()
            assert store.load(former) is not None, "only the first save removes the entry"
        with IrisSession(**settings, token_store=store) as later:
            later.verify = sandbox.ca_file
            assert later.get("/echo").ok
        assert sandbox.count("token") == 2

    def test_store_without_delete_works(self, sandbox) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store = InMemory()
            with IrisSession(**sandbox.settings, token_store=store) as iris:
                iris.verify = sandbox.ca_file
                assert iris.get("/echo").ok
        assert len(store.saved) == 1

    def test_stored_token_of_a_key_holds_no_secret_of_the_key(self, tmp_path, sandbox) -> None:
        path = tmp_path / "token.json"
        with IrisSession(**sandbox.key_settings, token_store=path) as iris:
            iris.verify = sandbox.ca_file
            iris.get("/echo")
        (entry,) = json.loads(path.read_text())["tokens"].values()
        assert sandbox.key_settings["client_secret"] not in path.read_text()
        assert entry["access_token"] == sandbox.issued[0]


class InMemory:
    """A store of a user: three methods, and no `delete`."""

    def __init__(self) -> None:
        self.saved: dict[str, dict[str, Any]] = {}

    def lock(self, key: str, wait: float) -> Any:
        return warnings.catch_warnings()  # any context manager

    def load(self, key: str) -> dict[str, Any] | None:
        return self.saved.get(key)

    def save(self, key: str, token: dict[str, Any]) -> None:
        self.saved[key] = token
