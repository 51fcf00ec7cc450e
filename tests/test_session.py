"""IrisSession from the outside: settings, properties, signing in, renewing, resending."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re
import time
import traceback
from typing import Any

import pytest
import requests
from oauthlib.oauth2 import OAuth2Error
from requests_oauthlib import OAuth2Session
from urllib3.util import Timeout

import requests_iris
from requests_iris import (
    Clock,
    FileTokenStore,
    InvalidClientError,
    InvalidGrantError,
    IrisSession,
    MissingSettingError,
    SettingError,
    TokenResponseError,
    TokenUnreachableError,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.secret import fingerprint

VARIABLES = [
    *("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD", "SCOPE", "BASE_URL", "TOKEN_URL"),
    *("TOKEN_STORE", "ALLOWED_HOSTS", "GRANT_TYPE"),
]
COPIES = [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))]
REFUSED: list[dict[str, Any]] = [
    {"token_url": "http://auth.trackunit.com/token"},
    {"token_url": "https:///token"},
    {"token_url": "https://me:s3cret@auth.trackunit.com/token"},
    {"token_url": ""},
    {"token_url": b"https://auth.trackunit.com/token"},
    {"base_url": "http://iris.trackunit.com"},
    {"base_url": "http://localhost:80"},
    {"base_url": "iris"},
    {"base_url": "me:s3cret@iris"},
    {"base_url": ""},
    {"base_url": "https://iris.trackunit.com/?x=1"},
    {"base_url": "https://iris.trackunit.com/#x"},
    {"allowed_hosts": ["http://example.org"]},
    {"allowed_hosts": ["*"]},
    {"allowed_hosts": [None]},
    {"allowed_hosts": 8443},
    {"allowed_hosts": b"example.org"},
    {"allowed_hosts": ["example.org", "me:s3cret@example.org"]},
    {"scope": "api\noffline_access"},
    {"scope": 7},
    {"grant_type": "implicit"},
    {"grant_type": 7},
    {"leeway": -1},
    {"leeway": float("nan")},
    {"leeway": float("inf")},
    {"leeway": "60"},
    {"leeway": True},
    {"token_timeout": -1},
    {"token_timeout": float("nan")},
    {"token_timeout": float("inf")},
    {"token_timeout": 10**400},
    {"token_timeout": "30"},
    {"token_timeout": True},
    {"default_timeout": -1},
    {"default_timeout": (10, 0)},
    {"default_timeout": (10, 60, 60)},
    {"default_timeout": "60"},
    {"default_timeout": True},
    {"default_timeout": (10, float("inf"))},
    {"retry": -1},
    {"retry": "3"},
    {"pool_maxsize": -1},
    {"pool_maxsize": 1.5},
    {"pool_maxsize": True},
    {"clock": "now"},
    {"token_store": ""},
    {"token_store": ["s3cret"]},
    {"token_store": "https://me:s3cret@example.org"},
    {"token_store": "redis://me:s3cret@host:port"},
    {"token_updater": {"access_token": "s3cret"}},
    {"token": {"refresh_token": "s3cret"}},
    {"token": {"access_token": "s3cret\n"}},
    {"token": "s3cret"},
    {"token": ["s3cret"]},
    {"token": ""},
    {"client_id": "with:colon"},
    {"password": b"s3cret"},
    {"password": "s3cret\udcff"},
    {"client_secret": ["s3cret"]},
]


def record_timeouts(iris: IrisSession) -> list[object]:
    """The ``timeout`` of each request from now on."""
    seen: list[object] = []

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request, *args, timeout=None, **kwargs):
            seen.append(timeout)
            return super().send(request, *args, timeout=timeout, **kwargs)

    iris.fetch_token()
    iris.mount("https://", Adapter())
    return seen


class TestSettings:
    def test_creating_a_session_needs_no_setting(self) -> None:
        session = IrisSession()
        assert isinstance(session, OAuth2Session)
        assert not session.authorized
        assert session.token == {}

    def test_settings_come_from_the_environment(self, sandbox: Sandbox, monkeypatch) -> None:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        with IrisSession() as iris:
            assert iris.get("/echo").ok
            assert iris.scope == "api offline_access"

    def test_an_argument_wins_over_its_variable(self, sandbox: Sandbox, monkeypatch) -> None:
        for name in VARIABLES:
            monkeypatch.setenv(f"TRACKUNIT_{name}", "https://elsewhere.example")
        others = {"token_store": False, "scope": "api", "allowed_hosts": sandbox.base_url}
        others["grant_type"] = "password"
        with IrisSession(**sandbox.settings, **others) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok

    def test_the_first_request_names_a_missing_credential(self, sandbox) -> None:
        settings = {**sandbox.settings, "password": None}
        with IrisSession(**settings) as iris, pytest.raises(MissingSettingError) as caught:
            iris.get("/echo")
        assert caught.value.setting == "password"
        assert caught.value.variable == "TRACKUNIT_PASSWORD"
        assert str(caught.value).startswith("No password. Pass `password=` to IrisSession or set ")
        assert sandbox.seen == ()

    def test_a_variable_that_is_set_after_the_session_was_created_is_not_read(
        self, sandbox: Sandbox, monkeypatch
    ) -> None:
        iris = IrisSession(base_url=sandbox.base_url)
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        with iris, pytest.raises(MissingSettingError) as caught:
            iris.get("/echo")
        assert "TRACKUNIT_PASSWORD are set now but were not set when" in str(caught.value)
        assert str(caught.value).endswith("Create the session afterwards.")
        assert sandbox.seen == ()

    def test_a_variable_that_is_removed_after_the_session_was_created_is_not_missed(
        self, sandbox: Sandbox, monkeypatch
    ) -> None:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        iris = IrisSession()
        for name in sandbox.environ:
            if name.startswith("TRACKUNIT_"):
                monkeypatch.delenv(name)
        with iris:
            assert iris.get("/echo").ok

    def test_allowed_hosts_from_the_environment_are_separated_by_commas(self, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_ALLOWED_HOSTS", "one.example, two.example:8443,")
        assert IrisSession().allowed_hosts == ("one.example", "two.example:8443")

    def test_an_allowed_host_from_the_environment_sees_the_token(
        self, sandbox: Sandbox, monkeypatch
    ) -> None:
        host = sandbox.foreign_url.removeprefix("https://")
        monkeypatch.setenv("TRACKUNIT_ALLOWED_HOSTS", f"iris.trackunit.com,{host}")
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            iris.get(f"{sandbox.foreign_url}/echo")
            iris.get("/echo")
        foreign, api = sandbox.seen[-2:]
        assert foreign.headers["Authorization"].startswith("Bearer ")
        assert "Authorization" not in api.headers

    @pytest.mark.parametrize("settings", REFUSED, ids=str)
    def test_a_bad_setting_is_refused_when_the_session_is_created(self, settings) -> None:
        with pytest.raises(SettingError) as caught:
            IrisSession(**settings)
        assert isinstance(caught.value, ValueError)
        assert caught.value.setting in settings
        assert caught.value.setting in str(caught.value)
        assert caught.value.variable is None
        assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)

    @pytest.mark.parametrize("prefix", ["TRACKUNIT_", "ACME_"])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("BASE_URL", "http://iris.trackunit.com"),
            ("TOKEN_URL", "token"),
            ("SCOPE", "a\\b"),
            ("ALLOWED_HOSTS", "example.org,*"),
            ("ALLOWED_HOSTS", " , "),
            ("TOKEN_STORE", "ftp://example.org"),
            ("CLIENT_ID", "with:colon"),
            ("PASSWORD", "s3cret\udcff"),
        ],
    )
    def test_an_error_names_the_variable_that_a_bad_value_came_from(
        self, name, value, prefix, monkeypatch
    ) -> None:
        monkeypatch.setenv(prefix + name, value)
        with pytest.raises(SettingError) as caught:
            IrisSession.from_env(prefix)
        assert caught.value.variable == prefix + name
        assert caught.value.setting == name.lower()
        assert str(caught.value).startswith(f"{prefix}{name}: {name.lower()} ")
        assert "s3cret" not in str(caught.value)

    def test_a_base_url_without_a_scheme_is_explained(self) -> None:
        with pytest.raises(SettingError, match="Did you mean 'https://iris.trackunit.com'"):
            IrisSession(base_url="iris.trackunit.com")

    @pytest.mark.parametrize("name", sorted(inspect.signature(IrisSession).parameters))
    def test_none_means_not_passed(self, name, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_BASE_URL", "https://from.variable")
        got = IrisSession(**{name: None})
        if name not in ("client_secret", "password"):
            assert getattr(got, name) == getattr(IrisSession(), name)
        assert got.base_url == "https://from.variable"

    @pytest.mark.parametrize("off", [False, 0, 0.0])
    def test_false_and_zero_switch_four_settings_off(self, sandbox, off, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", "/there/is/no/such/store.json")
        names = ("default_timeout", "leeway", "token_store") + (off != 0.0) * ("retry",)
        with IrisSession(**sandbox.settings, **dict.fromkeys(names, off)) as iris:
            iris.verify = sandbox.ca_file
            assert all(getattr(iris, name) is off for name in names)
            timeouts = record_timeouts(iris)
            assert iris.get("/echo").ok
            assert timeouts[-1] is None
            iris.token = {**iris.token, "expires_at": time.time() + 0.5, "expires_in": 3600}
            assert repr(iris).endswith("(expiring)>")

    @pytest.mark.parametrize("off", [False, 0])
    @pytest.mark.parametrize(
        "name",
        sorted(
            {*inspect.signature(IrisSession).parameters}
            - {"default_timeout", "retry", "leeway", "token_store", "quota"}
        ),
    )
    def test_false_and_zero_are_refused_by_the_other_settings(self, name, off) -> None:
        with pytest.raises(SettingError, match=name) as caught:
            IrisSession(**{name: off})
        assert caught.value.setting == name

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("timeout", "default_timeout"),
            ("verify", "session.verify = "),
            ("cert", "session.cert = "),
            ("proxies", "session.proxies = "),
            ("headers", "session.headers = "),
            ("auth", "session.auth = "),
            ("trust_env", "session.trust_env = "),
            ("key", "items_path"),
            ("workers", "max_workers"),
            ("auto_refresh_url", "token_url"),
            ("pasword", "'password'"),
        ],
    )
    def test_an_unknown_argument_is_a_type_error_that_says_what_to_use(self, name, advice) -> None:
        for create in (IrisSession, IrisSession.from_env):
            with pytest.raises(TypeError, match=re.escape(advice)) as caught:
                create(**{name: "x"})
            assert repr(name) in str(caught.value)

    def test_an_unknown_argument_without_advice_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'qqq'$"):
            IrisSession(qqq=1)

    def test_the_signature_has_named_parameters_only(self) -> None:
        """Mixins such as those of requests-cache pass on only the names in the signature."""
        kinds = {each.kind for each in inspect.signature(IrisSession).parameters.values()}
        assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
        assert inspect.getfullargspec(IrisSession.__init__).varkw is None

    def test_none_means_not_passed_to_a_list_too(self, iris: IrisSession) -> None:
        arguments = dict.fromkeys(("method", "max_workers", "items_path", "resume", "progress"))
        assert len(list(iris.items("/api/asset/v1/assets", **arguments))) == 250

    @pytest.mark.parametrize(
        ("former", "name"), [("key", "items_path"), ("workers", "max_workers")]
    )
    @pytest.mark.parametrize("method", ["items", "pages"])
    def test_a_former_name_in_a_call_is_a_type_error_that_says_the_new_name(
        self, iris, method, former, name
    ) -> None:
        with pytest.raises(TypeError, match=f"{former}.*{name}="):
            getattr(iris, method)("/x", **{former: 1})


class TestFromEnv:
    def test_only_variables_with_the_prefix_are_read(self, sandbox, monkeypatch) -> None:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name.replace("TRACKUNIT_", "ACME_"), value)
        monkeypatch.setenv("TRACKUNIT_SCOPE", "of another prefix")
        with IrisSession.from_env("ACME_") as iris:
            assert iris.get("/echo").ok
            assert iris.scope == "api offline_access"

    def test_a_missing_variable_has_no_fallback_to_another_prefix(
        self, sandbox, monkeypatch
    ) -> None:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        iris = IrisSession.from_env("ACME_", base_url=sandbox.base_url)
        with iris, pytest.raises(MissingSettingError, match="ACME_CLIENT_ID") as caught:
            iris.get("/echo")
        assert "TRACKUNIT" not in str(caught.value)
        assert iris.token_url == "https://auth.trackunit.com/token"

    def test_an_argument_wins_over_its_prefixed_variable(self, monkeypatch) -> None:
        monkeypatch.setenv("ACME_USERNAME", "of the variable")
        monkeypatch.setenv("ACME_SCOPE", "of the variable")
        iris = IrisSession.from_env("ACME_", username="of the argument", scope="argument")
        assert (iris.username, iris.scope) == ("of the argument", "argument")

    def test_the_default_prefix_is_that_of_the_class(self, monkeypatch) -> None:
        monkeypatch.setenv("TRACKUNIT_USERNAME", "me")
        assert IrisSession.from_env().username == IrisSession().username == "me"
        assert IrisSession.from_env(None).username == "me"

    def test_a_prefix_that_is_not_a_str_is_refused(self) -> None:
        with pytest.raises(SettingError, match="prefix must be a str, not int"):
            IrisSession.from_env(5)

    def test_a_subclass_with_an_init_of_its_own_is_created(self, monkeypatch) -> None:
        class Mine(IrisSession):
            def __init__(self, region: str, **settings: Any) -> None:
                super().__init__(base_url=f"https://{region}.example", **settings)

        monkeypatch.setenv("ACME_USERNAME", "me")
        mine = Mine.from_env("ACME_", region="eu")
        assert (type(mine), mine.base_url, mine.username) == (Mine, "https://eu.example", "me")

    @pytest.mark.parametrize("again", COPIES)
    def test_a_copy_of_a_session_keeps_the_prefix(self, again, monkeypatch) -> None:
        iris = again(IrisSession.from_env("ACME_"))
        with pytest.raises(MissingSettingError, match="ACME_PASSWORD"):
            iris.fetch_token()

    def test_an_unpickled_session_reads_the_variables_of_its_prefix(
        self, sandbox, monkeypatch
    ) -> None:
        """As in a worker process, whose environment has the credentials."""
        pickled = pickle.dumps(
            IrisSession.from_env("ACME_", base_url=sandbox.base_url, token_url=sandbox.token_url)
        )
        for name in ("client_id", "client_secret", "username", "password"):
            monkeypatch.setenv(f"TRACKUNIT_{name.upper()}", "of another prefix")
            monkeypatch.setenv(f"ACME_{name.upper()}", sandbox.settings[name])
        with pickle.loads(pickled) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok


PASSED = {
    "client_id": "c",
    "username": "u",
    "scope": ["api", "offline_access"],
    "grant_type": "password",
    "token_updater": print,
    "token_store": "redis://:pw@host:6379/0",
    "base_url": "https://h/api/",
    "token_url": "https://h/token/",
    "allowed_hosts": ["h", "other.example:8443"],
    "leeway": 30,
    "default_timeout": (1, 2),
    "retry": 2,
    "pool_maxsize": 5,
    "token_timeout": 12,
    "clock": Clock(),
}
SETTABLE = {
    "token": {"access_token": "a", "token_type": "Bearer"},
    "token_updater": print,
    "scope": ["one", "two"],
    "client_id": "other",
    "base_url": "https://other.example/",
    "default_timeout": 7,
}


class TestProperties:
    def test_the_list_of_arguments_is_complete(self) -> None:
        secrets, views = {"client_secret", "password", "token"}, {"quota"}
        assert {*PASSED} | secrets | views == {*inspect.signature(IrisSession).parameters}

    @pytest.mark.parametrize("again", [lambda iris: iris, *COPIES])
    @pytest.mark.parametrize("name", PASSED)
    def test_a_property_returns_exactly_what_was_passed(self, name, again) -> None:
        passed = {**PASSED, "retry": 2}
        got = getattr(again(IrisSession(**{name: passed[name]})), name)
        if name != "clock":
            assert (got, type(got)) == (passed[name], type(passed[name]))

    @pytest.mark.parametrize("again", COPIES)
    def test_a_path_and_a_store_are_returned_as_they_are(self, tmp_path, again) -> None:
        store = FileTokenStore(tmp_path / "t.json")
        for place in (tmp_path / "token.json", store):
            iris = IrisSession(token_store=place)
            assert iris.token_store is place
            assert repr(again(iris).token_store) == repr(place)

    def test_hosts_of_an_iterator_can_be_read_more_than_once(self) -> None:
        iris = IrisSession(allowed_hosts=(host for host in ["a", "b"]))
        assert iris.allowed_hosts == iris.allowed_hosts == ("a", "b")

    def test_a_setting_that_was_not_passed_has_its_default(self) -> None:
        iris = IrisSession()
        assert iris.base_url == "https://iris.trackunit.com"
        assert iris.allowed_hosts == ("iris.trackunit.com",)
        assert iris.token_url == "https://auth.trackunit.com/token"
        assert (iris.leeway, iris.token_timeout, iris.pool_maxsize) == (60, 30, 128)
        assert iris.default_timeout == (10, 60)
        assert iris.grant_type is None
        assert iris.token_store is iris.token_updater is iris.username is iris.client_id is None

    def test_client_id_is_also_the_first_positional_argument(self) -> None:
        assert IrisSession("me").client_id == "me"

    @pytest.mark.parametrize("name", SETTABLE)
    def test_a_settable_argument_can_be_assigned(self, name) -> None:
        iris = IrisSession()
        setattr(iris, name, SETTABLE[name])
        assert getattr(iris, name) == SETTABLE[name]

    @pytest.mark.parametrize("name", ["base_url", "default_timeout"])
    def test_two_arguments_are_plain_attributes(self, name) -> None:
        assert name in vars(IrisSession())
        assert not hasattr(IrisSession, name)

    def test_the_own_token_url_can_be_assigned_as_auto_refresh_url(self) -> None:
        iris = IrisSession()
        iris.auto_refresh_url = iris.token_url
        assert iris.auto_refresh_url == iris.token_url

    @pytest.mark.parametrize(
        "name", sorted({*inspect.signature(IrisSession).parameters} - {*SETTABLE})
    )
    def test_any_other_argument_cannot_be_assigned(self, name) -> None:
        iris = IrisSession()
        with pytest.raises(AttributeError, match=rf"{name} cannot be changed. Pass `{name}=` to"):
            setattr(iris, name, "x")

    @pytest.mark.parametrize("name", ["client_secret", "password"])
    def test_a_secret_has_no_property(self, name) -> None:
        iris = IrisSession(**{name: "hush"})
        assert not hasattr(iris, name)
        assert name not in dir(iris)

    def test_assigning_base_url_changes_the_paths_but_not_the_allowed_hosts(
        self, iris, sandbox
    ) -> None:
        iris.base_url = sandbox.foreign_url
        iris.get("/echo")
        assert sandbox.seen[-1].server == "foreign"
        assert "Authorization" not in sandbox.seen[-1].headers

    def test_paths_are_joined_with_exactly_one_slash(self, sandbox) -> None:
        for base_url in (sandbox.base_url, f"{sandbox.base_url}/"):
            with IrisSession(**{**sandbox.settings, "base_url": base_url}) as iris:
                iris.verify = sandbox.ca_file
                assert iris.get("/echo").url == f"{sandbox.base_url}/echo"

    def test_the_base_url_of_another_class_of_the_session_counts_as_passed(self, sandbox) -> None:
        """As requests-toolbelt's BaseUrlSession, which sets `base_url` and passes nothing on."""

        class BaseUrl(requests.Session):
            def __init__(self, base_url: str) -> None:
                self.base_url = base_url
                super().__init__()

        class Both(BaseUrl, IrisSession):
            pass

        both = Both("https://h/api/")
        assert (both.base_url, both.allowed_hosts) == ("https://h/api/", ("h",))

    def test_dir_shows_what_can_be_used(self) -> None:
        shown = {*dir(IrisSession())}
        assert {"items", "pages", "get", "bearer", "counters", "leeway", "base_url"} <= shown
        assert not {"authorization_url", "token_from_fragment", "new_state", "password"} & shown

    @pytest.mark.parametrize("method", [IrisSession.items, IrisSession.pages])
    def test_help_names_the_arguments_that_can_be_used(self, method) -> None:
        text = pydoc.render_doc(method)
        for name in ("params", "json", "headers", "timeout", "max_workers", "items_path", "resume"):
            assert name in text


class TestRepr:
    def test_repr_says_that_a_session_has_no_token(self) -> None:
        assert repr(IrisSession(username="me", base_url="https://h/api/")) == (
            "<IrisSession https://h/api/ grant_type='password' username='me' token=none>"
        )

    def test_repr_of_a_session_without_a_username_shows_the_client(self) -> None:
        assert " client_id='c' " in repr(IrisSession("c"))

    def test_repr_shows_the_age_of_the_token(
        self, iris: IrisSession, sandbox: Sandbox, clock
    ) -> None:
        iris.get("/echo")
        ages = []
        for seconds in (0, 2700, 841):
            clock.sleep(seconds)
            ages.append(re.search(r"token=(\w{8}) \((\w+)\)>$", repr(iris)).groups())
        shown = fingerprint(iris.access_token)
        assert ages == [(shown, "fresh"), (shown, "expiring"), (shown, "expired")]

    def test_repr_shows_a_rejected_token_as_expired(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.get("/echo")
        sandbox.inject(Fault(status=401), on="api")
        sandbox.inject(Fault(status=404), on="token")
        with pytest.raises(TokenResponseError):
            iris.get("/echo")
        assert repr(iris).endswith("(expired)>")

    def test_repr_shows_no_secret(self, iris: IrisSession, sandbox) -> None:
        response = iris.get("/echo")
        shown = repr([iris, vars(iris), response.request.headers, iris.bearer])
        iris.base_url = "https://me:s3cret@h/"
        shown += repr(iris)
        secrets = (sandbox.settings["password"], sandbox.settings["client_secret"], "s3cret")
        assert not [s for s in (*secrets, *sandbox.issued, sandbox.refresh_token) if s in shown]


class TestUrls:
    @pytest.mark.parametrize("url", ["/echo", b"/echo"])
    def test_a_url_with_one_slash_is_joined_to_base_url(
        self, iris: IrisSession, sandbox, url
    ) -> None:
        assert iris.get(url).url == f"{sandbox.base_url}/echo"

    def test_a_base_url_may_have_a_path(self, sandbox: Sandbox) -> None:
        settings = {**sandbox.settings, "base_url": sandbox.base_url + "/api/asset/"}
        with IrisSession(**settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/v1/assets").ok

    @pytest.mark.parametrize("url", ["iris.trackunit.com/x", "//iris.trackunit.com/x", "x"])
    def test_no_other_url_is_joined_to_base_url(self, iris: IrisSession, url) -> None:
        with pytest.raises(requests.exceptions.MissingSchema):
            iris.get(url)

    def test_a_prepared_request_is_joined_too(self, iris: IrisSession, sandbox) -> None:
        request = requests.Request("GET", "/echo")
        assert iris.send(iris.prepare_request(request)).ok
        assert request.url == "/echo"


class TestLifeOfAToken:
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

    def test_each_refresh_token_of_a_rotation_is_used(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        for _ in range(3):
            iris.get("/echo")
            iris.token = {**iris.token, "expires_at": time.time()}
        assert iris.get("/echo").ok
        assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, 3)

    def test_a_session_without_a_refresh_token_signs_in_again(self, sandbox: Sandbox) -> None:
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

    def test_token_updater_is_called_with_each_token(self, sandbox: Sandbox) -> None:
        told = []
        with IrisSession(**sandbox.settings, token_updater=told.append) as iris:
            iris.verify = sandbox.ca_file
            iris.get("/echo")
            assert told == [iris.token]
            sandbox.expire_access_tokens()
            iris.get("/echo")
            assert told[1:] == [iris.token]
        assert [token["access_token"] for token in told] == list(sandbox.issued)

    def test_a_token_that_expires_at_once_serves_one_request(self, sandbox) -> None:
        sandbox.token_lifetime = 0
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert [iris.get("/echo").ok for _ in range(3)] == [True] * 3
        assert sandbox.count("token") == 3


class TestResend:
    def test_a_revoked_token_is_replaced_and_the_request_is_resent(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        response = iris.put("/echo", data=b"body", headers={"X-Mine": "1"})
        assert response.json()["headers"]["X-Mine"] == "1"
        assert response.json()["size"] == 4
        assert [rejected.status_code for rejected in response.history] == [401]
        assert response.request.headers["Authorization"] == f"Bearer {sandbox.issued[-1]}"
        assert response.elapsed.total_seconds() > 0

    def test_hooks_of_the_caller_see_only_the_final_response(self, iris, sandbox) -> None:
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

    def test_a_cookie_of_the_401_is_sent_with_the_resend(self, iris, sandbox) -> None:
        iris.get("/echo")
        crumb = Fault(status=401, headers={"Set-Cookie": "crumb=1; Path=/"})
        sandbox.inject(crumb, on="api")
        assert iris.get("/echo").json()["headers"]["Cookie"] == "crumb=1"
        assert iris.cookies["crumb"] == "1"

    def test_a_body_that_cannot_be_rewound_is_not_resent(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        assert iris.post("/echo", data=(piece for piece in [b"a", b"b"])).status_code == 401
        assert sandbox.count("token") == 1
        response = iris.post("/echo", data=(piece for piece in [b"a", b"b"]))
        assert response.json()["size"] == 2

    def test_a_401_whose_body_breaks_off_is_resent(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.inject(Fault(status=401, body="x" * 100, truncate=10), on="api")
        with iris.get("/echo", stream=True) as response:
            assert response.ok
        assert [rejected.status_code for rejected in response.history] == [401]

    def test_a_file_is_resent_from_its_first_position(self, iris, sandbox, tmp_path) -> None:
        path = tmp_path / "body"
        path.write_bytes(b"skip,keep")
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        with path.open("rb") as file:
            file.seek(5)
            assert iris.post("/echo", data=file).json()["size"] == 4

    def test_no_hook_of_the_session_stays_on_a_request(self, iris: IrisSession, sandbox) -> None:
        prepared = iris.prepare_request(requests.Request("GET", "/echo"))
        iris.send(prepared)
        sandbox.revoke_access_tokens()
        response = iris.send(prepared)
        for request in (prepared, response.request, response.history[0].request):
            assert request.hooks == {"response": []}
        assert "Authorization" not in prepared.headers

    def test_the_request_of_a_response_can_be_sent_again_and_is_signed_again(
        self, iris, sandbox
    ) -> None:
        first = iris.get("/echo")
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        again = iris.send(first.request)
        assert again.ok
        assert again.history == []

    def test_a_request_with_the_headers_of_an_earlier_request_is_signed_again(
        self, iris, sandbox
    ) -> None:
        headers = iris.get("/echo").request.headers
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        prepared = iris.prepare_request(requests.Request("GET", "/echo", headers=headers))
        for again in (iris.get("/echo", headers=headers), iris.send(prepared)):
            assert again.ok
            assert again.history == []

    def test_a_401_to_authentication_of_the_caller_is_returned(self, iris, sandbox) -> None:
        assert iris.get("/echo", auth=("me", "mine")).status_code == 401
        assert sandbox.count("api") == 1


class TestRefusals:
    def test_a_wrong_client_secret_is_an_invalid_client_error(self, sandbox: Sandbox) -> None:
        error = self.refusal(sandbox, client_secret="wrong")
        assert isinstance(error, InvalidClientError)
        assert (error.error, error.status_code) == ("invalid_client", 401)

    def test_a_wrong_password_is_an_invalid_grant_error(self, sandbox: Sandbox) -> None:
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
        assert isinstance(caught.value, OAuth2Error) != isinstance(
            caught.value.__cause__, OAuth2Error
        )
        assert not caught.value.retryable
        assert str(again.value).startswith(f"{caught.value} ")
        assert sandbox.count("token") == 1
        loaded = pickle.loads(pickle.dumps(caught.value))
        assert vars(loaded).keys() == vars(caught.value).keys()
        assert loaded.error == caught.value.error
        return caught.value

    @pytest.mark.parametrize("name", ["client_secret", "password"])
    def test_a_refusal_names_a_newline_at_the_end_of_a_secret(self, sandbox, name) -> None:
        error = self.refusal(sandbox, **{name: sandbox.settings[name] + "\n"})
        assert f". {name} ends with a newline, as text from a file often does." in str(error)

    def test_changed_credentials_are_tried_at_once(self, sandbox: Sandbox) -> None:
        with IrisSession(**{**sandbox.settings, "password": "wrong"}) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(InvalidGrantError):
                iris.get("/echo")
            iris.fetch_token(password=sandbox.settings["password"])
            assert iris.get("/echo").ok

    def test_a_closed_token_endpoint_is_a_token_unreachable_error(
        self, sandbox: Sandbox, clock
    ) -> None:
        url, settings = sandbox.token_url, sandbox.settings
        sandbox.close()
        iris = IrisSession(**settings, clock=clock)
        with iris, pytest.raises(TokenUnreachableError) as caught:
            iris.get("/echo")
        assert caught.value.retryable
        assert url in str(caught.value)
        assert isinstance(caught.value.__cause__, requests.ConnectionError)
        assert caught.value.__cause__.request is None

    def test_a_missing_ca_bundle_is_named_and_not_retried(self, iris: IrisSession) -> None:
        """For a program that runs with the REQUESTS_CA_BUNDLE of a sandbox that has ended."""
        iris.verify = "/not/there.pem"
        with pytest.raises(TokenUnreachableError, match="invalid path: /not/there.pem") as caught:
            iris.get("/echo")
        assert not caught.value.retryable
        assert iris.counters["password"] == 1, "a retry cannot help"

    def test_a_404_of_the_token_endpoint_is_a_token_response_error(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        sandbox.inject(Fault(status=404, body="<html>Not here</html>"), on="token")
        with pytest.raises(TokenResponseError, match="404") as caught:
            iris.get("/echo")
        assert caught.value.status_code == 404
        assert not caught.value.retryable


class TestInterfaceOfOAuth2Session:
    def test_fetch_token_and_refresh_token_return_new_tokens(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
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

    @pytest.mark.parametrize("method", ["fetch_token", "refresh_token"])
    def test_argument_of_oauth2session_is_refused_with_advice(self, iris, method: str) -> None:
        with pytest.raises(TypeError, match=r"'code'. Remove the argument") as caught:
            getattr(iris, method)(code="a secret code")
        frames = traceback.walk_tb(caught.value.__traceback__)
        inside = [frame.f_locals for frame, _ in frames if "tests" not in frame.f_code.co_filename]
        assert inside
        assert "a secret code" not in repr(inside)

    def test_refresh_token_needs_a_refresh_token(self, iris: IrisSession) -> None:
        with pytest.raises(SettingError, match="offline_access"):
            iris.refresh_token()

    def test_a_token_can_be_forgotten(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        iris.token = {}
        assert not iris.authorized
        iris.get("/echo")
        assert sandbox.count("password") == 2

    @pytest.mark.parametrize("copied", COPIES)
    def test_a_copy_of_a_session_works_and_holds_the_token(self, iris, sandbox, copied) -> None:
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

    def test_a_request_of_the_caller_is_not_changed(self, iris, sandbox) -> None:
        headers, params, hooks = {"A": "1"}, {"b": "2"}, {"response": []}
        request = requests.Request("GET", "/echo", headers=headers, params=params, hooks=hooks)
        before = copy.deepcopy(vars(request))
        prepared = iris.prepare_request(request)
        prepared_before = copy.deepcopy(vars(prepared)["headers"])
        iris.send(prepared)
        assert vars(request) == before
        assert prepared.headers == prepared_before

    def test_cookies_of_the_token_endpoint_do_not_reach_the_session(self, iris, sandbox) -> None:
        sandbox.inject(Fault(headers={"Set-Cookie": "crumb=1; Path=/"}), on="token")
        iris.get("/echo")
        assert not iris.cookies

    def test_the_bearer_signs_the_requests_of_a_plain_session(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
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
    @pytest.mark.parametrize("timeout", [5, 0.5, (5, None), (5, 60), Timeout(5)], ids=str)
    def test_default_timeout_takes_each_form_that_requests_has(self, timeout) -> None:
        assert IrisSession(default_timeout=timeout).default_timeout == timeout

    def test_requests_to_allowed_hosts_have_the_default_timeout(self, iris, sandbox) -> None:
        timeouts = record_timeouts(iris)
        iris.get("/echo")
        iris.get("/echo", timeout=5)
        iris.get("/echo", auth=("me", "mine"))
        iris.get(f"{sandbox.foreign_url}/echo")
        assert timeouts == [(10.0, 60.0), 5, (10.0, 60.0), None]

    def test_token_timeout_bounds_a_token_request(self, sandbox: Sandbox) -> None:
        sandbox.inject(Fault(delay=30), on="token")
        with IrisSession(**sandbox.settings, token_timeout=0.3) as iris:
            iris.verify = sandbox.ca_file
            start = time.monotonic()
            with pytest.raises(TokenUnreachableError):
                iris.get("/echo")
            assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("iris.trackunit.com", "https://iris.trackunit.com"),
        ("auth.trackunit.com/token/v2", "https://auth.trackunit.com/token/v2"),
        ("localhost:8080", "https://localhost:8080"),
        ("https:/host/x", "https://host/x"),
        ("http//host", "https://host"),
        ("//host", "https://host"),
        ("https:8080", "https://https:8080"),
    ],
)
@pytest.mark.parametrize("name", ["base_url", "token_url"])
def test_url_without_a_whole_scheme_is_refused_with_the_url_that_was_meant(
    name: str, url: str, meant: str
) -> None:
    with pytest.raises(SettingError, match=f"Did you mean '{meant}'"):
        IrisSession(**{name: url})
