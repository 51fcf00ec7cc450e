"""Without the merges of empty dicts, IrisSession has the settings and headers of requests.

``tox -e counts`` notices a merge that is made after all.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
import requests

from requests_iris import IrisSession

URL = "https://iris.trackunit.com/api"
PROXY = "http://proxy.example:3128"


@pytest.fixture(params=[requests.Session, IrisSession], ids=["requests", "IrisSession"])
def session(request, monkeypatch, tmp_path) -> requests.Session:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return request.param()


def settings(session: requests.Session, proxies: Any, **others: Any) -> dict[str, Any]:
    passed = {"stream": None, "verify": None, "cert": None, **others}
    return session.merge_environment_settings(URL, proxies, **passed)


class TestSettings:
    def test_settings_of_a_new_session_are_those_of_requests(self, session):
        assert settings(session, {}) == {
            "proxies": {},
            "stream": False,
            "verify": True,
            "cert": None,
        }

    def test_proxy_and_bundle_of_the_environment_are_used(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "bundle.pem")
        assert settings(session, {})["proxies"] == {"https": PROXY}
        assert settings(session, {})["verify"] == "bundle.pem"

    def test_no_proxy_of_the_environment_is_kept(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        monkeypatch.setenv("NO_PROXY", "iris.trackunit.com")
        assert settings(session, {})["proxies"] == {}

    def test_session_without_trust_env_ignores_the_environment(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        session.trust_env = False
        assert settings(session, {})["proxies"] == {}

    def test_proxies_of_the_session_are_used_without_the_value_none(self, session):
        session.proxies = {"https": PROXY, "http": None}
        assert settings(session, {})["proxies"] == {"https": PROXY}

    def test_passed_proxies_win_over_the_environment(self, session, monkeypatch):
        monkeypatch.setenv("ALL_PROXY", PROXY)
        passed = {"https": None, "no_proxy": "*"}
        assert settings(session, passed)["proxies"] == {"no_proxy": "*"}

    def test_proxies_are_an_ordered_dict_as_in_requests(self, session):
        assert type(settings(session, {})["proxies"]) is OrderedDict

    def test_proxies_in_an_unchangeable_mapping_are_accepted(self, session):
        session.trust_env = False
        assert settings(session, MappingProxyType({}))["proxies"] == {}

    @pytest.mark.parametrize("proxies", [[], (), ""])
    def test_proxies_that_are_no_mapping_are_returned_as_they_are(self, session, proxies):
        session.trust_env = False
        assert settings(session, proxies)["proxies"] is proxies

    @pytest.mark.parametrize("proxies", [{}, None])
    def test_session_with_none_for_proxies_returns_the_passed_proxies(self, session, proxies):
        session.proxies = None
        assert settings(session, proxies)["proxies"] == proxies

    def test_passed_settings_win_over_settings_of_the_session(self, session):
        session.cert, session.stream = "client.pem", True
        found = settings(session, {}, stream=False, verify="own.pem")
        assert (found["cert"], found["stream"], found["verify"]) == ("client.pem", False, "own.pem")

    def test_the_found_proxies_belong_to_the_request(self, session):
        passed: dict[str, str] = {}
        settings(session, passed)["proxies"]["https"] = PROXY
        assert (passed, session.proxies, settings(session, {})["proxies"]) == ({}, {}, {})

    def test_an_override_between_the_classes_gets_a_dict(self):
        class Mixin(requests.Session):
            def merge_environment_settings(self, url, proxies, *others):
                return super().merge_environment_settings(url, {**proxies, "https": PROXY}, *others)

        class Mixed(IrisSession, Mixin):
            """The session calls the method of the mixin."""

        assert settings(Mixed(), {})["proxies"] == {"https": PROXY}

    def test_a_patched_method_gets_a_dict(self, monkeypatch):
        original = requests.Session.merge_environment_settings

        def patched(self, url, proxies, *others):
            return original(self, url, {**proxies, "https": PROXY}, *others)

        monkeypatch.setattr(requests.Session, "merge_environment_settings", patched)
        assert settings(IrisSession(), {})["proxies"] == {"https": PROXY}


class Wrapper:
    """A transparent wrapper of a method, as monitoring agents have: all but the type is equal."""

    def __init__(self, wrapped, before) -> None:
        self.wrapped, self.before = wrapped, before

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def __get__(self, instance, owner):
        return Wrapper(self.wrapped.__get__(instance, owner), self.before)

    def __call__(self, *args, **kwargs):
        self.before(*args)
        return self.wrapped(*args, **kwargs)


class TestPrograms:
    """Programs that replace or wrap what requests calls on the way."""

    def test_wrapped_prepare_request_may_write_to_the_headers(self, session, monkeypatch):
        wrapper = Wrapper(
            requests.Session.prepare_request, lambda request: request.headers.update({"X": "1"})
        )
        monkeypatch.setattr(requests.Session, "prepare_request", wrapper)
        assert session.prepare_request(requests.Request("GET", URL)).headers["X"] == "1"
        assert "X" not in session.headers

    def test_wrapped_merge_of_settings_may_write_to_the_proxies(self, session, monkeypatch):
        wrapper = Wrapper(
            requests.Session.merge_environment_settings,
            lambda url, proxies, *_: proxies.update(https=PROXY),
        )
        monkeypatch.setattr(requests.Session, "merge_environment_settings", wrapper)
        found = session.merge_environment_settings(URL, {}, None, None, None)
        assert found["proxies"] == {"https": PROXY}

    def test_patched_prepare_headers_writes_to_no_other_request(self, session, monkeypatch):
        original = requests.PreparedRequest.prepare_headers

        def patched(self, headers):
            headers["X-Request-Id"] = str(len(headers))
            original(self, headers)

        monkeypatch.setattr(requests.PreparedRequest, "prepare_headers", patched)
        session.prepare_request(requests.Request("GET", URL))
        assert "X-Request-Id" not in session.headers

    def test_patched_prepare_url_gets_a_dict_of_params(self, session, monkeypatch):
        original = requests.PreparedRequest.prepare_url

        def patched(self, url, params):
            original(self, url, {**params, "tenant": "7"})

        monkeypatch.setattr(requests.PreparedRequest, "prepare_url", patched)
        prepared = session.prepare_request(requests.Request("GET", URL))
        assert prepared.url == f"{URL}?tenant=7"

    def test_patched_merge_gets_dicts_only(self, session, monkeypatch):
        original, seen = requests.sessions.merge_setting, []

        def patched(request_setting, session_setting, *others, **options):
            seen.append(request_setting)
            return original(request_setting, session_setting, *others, **options)

        monkeypatch.setattr(requests.sessions, "merge_setting", patched)
        settings(session, {})
        session.prepare_request(requests.Request("GET", URL))
        assert seen[0] == {}
        assert {} in seen[4:]

    def test_subclass_of_request_may_check_its_params(self, session):
        class Checked(requests.Request):
            def __setattr__(self, name, value):
                if name == "params":
                    value.items()
                super().__setattr__(name, value)

        assert session.prepare_request(Checked("GET", URL)).url == URL


class TestHeaders:
    @pytest.mark.parametrize("kind", [dict, requests.structures.CaseInsensitiveDict])
    def test_a_header_of_the_session_that_is_none_is_left_out(self, session, kind):
        session.headers = kind({"Accept": "text/csv", "X-Tenant": None})
        prepared = session.prepare_request(requests.Request("GET", URL))
        assert prepared.headers == {"Accept": "text/csv"}

    def test_a_request_does_not_share_the_headers_of_the_session(self, session):
        prepared = session.prepare_request(requests.Request("GET", URL))
        prepared.headers["Accept"] = "text/csv"
        assert session.headers["Accept"] == "*/*"

    @pytest.mark.parametrize("headers", [[("Accept", "text/csv")], "Accept", ()])
    def test_headers_of_the_session_that_are_no_mapping_are_ignored(self, session, headers):
        session.headers = headers
        assert session.prepare_request(requests.Request("GET", URL)).headers == {}

    def test_empty_headers_of_a_request_that_are_no_mapping_replace_the_headers(self, session):
        request = requests.Request("GET", URL)
        request.headers = ""
        assert session.prepare_request(request).headers == {}

    def test_session_without_headers_prepares_no_headers(self, session):
        session.headers = None
        assert session.prepare_request(requests.Request("GET", URL)).headers == {}
