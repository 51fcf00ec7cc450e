"""Which URLs may see a token."""

from __future__ import annotations

import contextlib
import string
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest, RequestException
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from requests_iris.errors import SettingError
from requests_iris.hosts import (
    check_url,
    joined,
    may_see_token,
    origins_of,
    why_incomplete,
    why_not_allowed,
)

IRIS = "https://iris.trackunit.com"
ORIGINS = origins_of([IRIS])


@pytest.mark.parametrize(
    "url",
    [
        IRIS,
        f"{IRIS}/",
        f"{IRIS}:443/api",
        f"{IRIS}?size=1",
        f"{IRIS}#top",
        "HTTPS://IRIS.TrackUnit.COM/api",
        f"{IRIS}/@evil.example",
        f"{IRIS}/a\\b?c=d@evil.example",
        f"{IRIS}/é",
    ],
)
def test_a_url_at_an_allowed_origin_may_see_the_token(url: str) -> None:
    assert may_see_token(url, ORIGINS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "iris.trackunit.com",
        "/api",
        # another scheme
        "http://iris.trackunit.com/",
        "http://iris.trackunit.com:443/",
        "//iris.trackunit.com/",
        "ftp://iris.trackunit.com/",
        "mock+https://iris.trackunit.com/",
        # another port
        f"{IRIS}:8443/",
        f"{IRIS}:80/",
        f"{IRIS}:4430/",
        f"{IRIS}:/",
        # another host
        "https://trackunit.com/",
        "https://auth.trackunit.com/",
        "https://iris.trackunit.com.evil.example/",
        "https://iris.trackunit.comevil.example/",
        "https://eviliris.trackunit.com/",
        "https://evil.iris.trackunit.com/",
        "https://iris-trackunit.com/",
        "https://irisatrackunit.com/",
        "https://iris.trackunit.com./",
        # user information
        "https://iris.trackunit.com@evil.example/",
        "https://iris.trackunit.com:443@evil.example/",
        "https://iris.trackunit.com%40evil.example/",
        "https://user:password@iris.trackunit.com/",
        "https://@iris.trackunit.com/",
        # what parsers read differently
        "https://iris.trackunit.com\\@evil.example/",
        "https://iris.trackunit.com\\.evil.example/",
        "https://evil.example\\@iris.trackunit.com/",
        "https:\\\\iris.trackunit.com/",
        "https:/iris.trackunit.com/",
        "https:///iris.trackunit.com/",
        "https:iris.trackunit.com/",
        "https://iris%2etrackunit.com/",
        "https://iris.trackunit.com%2f.evil.example/",
        "https://iris.trackunit.com;.evil.example/",
        "https://iris.trackunit.com&.evil.example/",
        # twins in other alphabets
        "https://iris.trаckunit.com/",  # noqa: RUF001
        "https://iris.trac\u212aunit.com/",
        "https://iris。trackunit。com/",
        "https://ｉｒｉｓ.trackunit.com/",  # noqa: RUF001
        f"{IRIS}:４４３/",  # noqa: RUF001
        "https://xn--irs-tma.trackunit.com/",
        # white space and invisible characters
        " https://iris.trackunit.com/",
        "\thttps://iris.trackunit.com/",
        "https://iris.trackunit.com /",
        "https://iris.trackunit.com\n",
        "https://iris.trackunit.com\n.evil.example/",
        "https://iris.track\tunit.com/",
        "https://iris.trackunit.com\x00/",
        "https://iris.trackunit.com\u200b/",
        # other addresses
        "https://[::1]/",
        "https://127.0.0.1/",
    ],
)
def test_a_look_alike_may_not_see_the_token(url: str) -> None:
    assert not may_see_token(url, ORIGINS)


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        ("example.org", {"https://example.org", "https://example.org:443"}),
        ("Example.ORG:443", {"https://example.org", "https://example.org:443"}),
        ("HTTPS://example.org/api/", {"https://example.org", "https://example.org:443"}),
        ("example.org:8443", {"https://example.org:8443"}),
        ("example.org:80", {"https://example.org:80"}),
        ("[::1]:8443", {"https://[::1]:8443"}),
        ("http://127.0.0.1", {"http://127.0.0.1", "http://127.0.0.1:80"}),
        ("http://127.8.9.10:80", {"http://127.8.9.10", "http://127.8.9.10:80"}),
        ("http://[::1]:443", {"http://[::1]:443"}),
    ],
)
def test_an_allowed_host_stands_for_its_origins(host: str, origins: set[str]) -> None:
    assert origins_of([host]) == origins
    assert origins_of(host) == origins, "one host needs no list"


def test_several_hosts_are_allowed_together() -> None:
    origins = origins_of(["a.example:1", "http://127.0.0.1:2"])
    assert origins == {"https://a.example:1", "http://127.0.0.1:2"}


def test_an_empty_list_of_hosts_allows_none() -> None:
    assert not may_see_token(IRIS, origins_of([]))


def test_plain_http_to_loopback_is_not_allowed_by_naming_its_https_origin() -> None:
    assert not may_see_token("http://127.0.0.1:8080/", origins_of(["127.0.0.1:8080"]))


@pytest.mark.parametrize(
    "url",
    ["https://example.org/token", "https://EXAMPLE.org:8443", "http://127.0.0.1:8080/token/v2"],
)
def test_a_good_url_is_returned_as_it_is(url: str) -> None:
    assert check_url(url, setting="token_url") == url


BAD_FOR_BOTH = [
    "",
    "https://",
    "https:///token",
    "https://:443",
    "https://h:port/",
    "https://h:",
    "https://h h",
    "https://exämple.org",
    "https://example.org%2eevil.example",
    "https://example.org\n",
    " https://example.org",
    "https:/example.org",
    "//example.org",
    "ftp://example.org",
    "http://example.org",
    "http://localhost:8080",
    "http://0.0.0.0:8080",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "http://2130706433",
    None,
    5,
    b"https://example.org",
]


@pytest.mark.parametrize("url", [*BAD_FOR_BOTH, "example.org", "example.org:443/token"])
def test_a_bad_url_is_refused_in_the_name_of_its_setting(url: object) -> None:
    with pytest.raises(SettingError, match="^token_url ") as caught:
        check_url(url, setting="token_url")  # type: ignore[arg-type]
    assert caught.value.setting == "token_url"


@pytest.mark.parametrize("host", BAD_FOR_BOTH)
def test_a_bad_host_is_refused(host: object) -> None:
    with pytest.raises(SettingError, match="^allowed_hosts ") as caught:
        origins_of(["good.example", host])  # type: ignore[list-item]
    assert caught.value.setting == "allowed_hosts"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hush@example.org/token",
        "http://user:hush@127.0.0.1:8080",
        "https://:hush@example.org",
        "https://user:hu/hush@example.org",
        "https://user:a@hush@example.org",
        "https://user:hu\nhush@example.org",
        "https:/user:hush@example.org",
        "https:\\\\user:hush@example.org",
        "ftp://user:hush@example.org",
        "//user:hush@example.org",
        "user:hush@example.org",
    ],
)
def test_a_refusal_does_not_show_a_password(url: str) -> None:
    for refused in (lambda: check_url(url, setting="token_url"), lambda: origins_of([url])):
        with pytest.raises(SettingError) as caught:
            refused()
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["iris.trackunit.com", "iris.trackunit.com:8443/api", "localhost"])
def test_a_url_without_a_scheme_is_refused_for_its_missing_scheme(url: str) -> None:
    with pytest.raises(SettingError, match="https:// is missing") as caught:
        check_url(url, setting="base_url")
    assert f"'{url}'" in str(caught.value)


@pytest.mark.parametrize("base_url", ["https://h", "https://h/", "https://h//", b"https://h/"])
@pytest.mark.parametrize("path", ["/a/b", b"/a/b", Path("/a/b")])
def test_a_path_is_joined_with_exactly_one_slash(base_url, path) -> None:
    assert joined(base_url, path) == "https://h/a/b"


@pytest.mark.parametrize("url", ["a/b", "", "//h/a", b"https://i/a", "https://i/a", Path("a")])
def test_a_url_that_is_no_path_is_not_joined(url: object) -> None:
    assert joined("https://h/", url) is url
    assert joined(None, "/a") == "/a"


@pytest.mark.parametrize(
    "url", ["me:hush@h/a", b"me:hush@h/a", "a?token=hush", "a#hush", "/a?hush"]
)
def test_a_message_about_an_incomplete_url_shows_no_password_and_no_query(url) -> None:
    assert "hush" not in why_incomplete(url)
    assert "slash" in why_incomplete(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (IRIS, ""),
        (f"{IRIS}:443/a", ""),
        (
            f"{IRIS}:8443/a",
            "allowed_hosts has iris.trackunit.com with port 443, and not with port 8443",
        ),
        (
            f"{IRIS}:80/a",
            "allowed_hosts has iris.trackunit.com with port 443, and not with port 80",
        ),
        (
            "http://iris.trackunit.com/a",
            "allowed_hosts has iris.trackunit.com with https, and not with http",
        ),
        ("https://evil.example/a", "evil.example is not in allowed_hosts"),
        ("https://evil.example\x1b2J/a", r"evil.example\x1b2j is not in allowed_hosts"),
        ("https://h:port/", "the host is not in allowed_hosts"),
    ],
)
def test_the_reason_why_a_host_is_not_allowed_is_given(url: str, reason: str) -> None:
    assert why_not_allowed(url, ORIGINS) == reason


_AUTHORITIES = ["iris.trackunit.com", "IRIS.trackunit.com", "evil.example", "user:pw", "[::1]", "K"]
_MARKS = [*"/\\@:?#.;&%[] \t\r\n\0", "//", "https://", "http://", "%2e", "%40", ":443", ":8443"]
_PIECE = st.sampled_from([*_AUTHORITIES, *_MARKS, "。", "\u212a", "\u200b"]) | st.text(max_size=3)
_TAIL = st.lists(_PIECE, max_size=8).map("".join)
_NEAR_MISS = st.builds(
    lambda scheme, host, tail: scheme + host + tail,
    st.sampled_from(["https://", "HTTPS://", "https:", " https://", "http://"]),
    st.sampled_from(_AUTHORITIES),
    _TAIL,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_NEAR_MISS | _TAIL | st.text(string.printable).map(IRIS.__add__))
def test_all_parsers_find_the_allowed_host_in_an_accepted_url(url: str) -> None:
    """No parser on the way to the socket reads another host: it agrees, or refuses the URL."""
    if not may_see_token(url, ORIGINS):
        return
    with contextlib.suppress(LocationParseError):
        found = parse_url(url)
        assert (found.scheme, found.auth, found.host) == ("https", None, "iris.trackunit.com")
        assert found.port in (None, 443)
    _assert_ours(url)
    prepared = PreparedRequest()
    with contextlib.suppress(RequestException, UnicodeError):
        prepared.prepare("GET", url)
        _assert_ours(prepared.url or "")


def _assert_ours(url: str) -> None:
    split = urlsplit(url)
    assert (split.scheme, split.hostname) == ("https", "iris.trackunit.com")
    assert split.username is None
    assert split.port in (None, 443)
    assert may_see_token(url, ORIGINS)


@pytest.mark.parametrize("url", [" /api", "\n/api", b" /api"])
def test_white_space_before_a_path_is_ignored_as_in_requests(url: str | bytes) -> None:
    assert joined("https://host/", url) == "https://host/api"
