"""An IrisSession saves merges, and has the same settings and headers as requests.Session."""

from __future__ import annotations

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
    def test_nothing_is_set(self, session):
        assert settings(session, {}) == {
            "proxies": {},
            "stream": False,
            "verify": True,
            "cert": None,
        }

    def test_the_environment_has_a_proxy_and_a_bundle(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "bundle.pem")
        assert settings(session, {})["proxies"] == {"https": PROXY}
        assert settings(session, {})["verify"] == "bundle.pem"

    def test_the_environment_has_an_exception_from_the_proxy(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        monkeypatch.setenv("NO_PROXY", "iris.trackunit.com")
        assert settings(session, {})["proxies"] == {}

    def test_the_session_has_no_trust_in_the_environment(self, session, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        session.trust_env = False
        assert settings(session, {})["proxies"] == {}

    def test_the_session_has_proxies(self, session):
        session.proxies = {"https": PROXY, "http": None}
        assert settings(session, {})["proxies"] == {"https": PROXY}

    def test_the_caller_passes_proxies(self, session, monkeypatch):
        monkeypatch.setenv("ALL_PROXY", PROXY)
        passed = {"https": None, "no_proxy": "*"}
        assert settings(session, passed)["proxies"] == {"no_proxy": "*"}

    @pytest.mark.parametrize("proxies", [{}, None])
    def test_the_session_has_none_for_proxies(self, session, proxies):
        session.proxies = None
        assert settings(session, proxies)["proxies"] == proxies

    def test_other_settings_of_the_session_and_of_the_caller(self, session):
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

    def test_a_session_without_headers(self, session):
        session.headers = None
        assert session.prepare_request(requests.Request("GET", URL)).headers == {}
