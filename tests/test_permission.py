"""The rule that decides who may see the token, as a table, and as a property over URLs."""

from __future__ import annotations

import contextlib
import time

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.util import parse_url

from requests_iris import IrisSession
from requests_iris.hosts import origins_of
from requests_iris.permission import Verdict, authorization_of, decide, is_withheld, withhold
from requests_iris.secret import Bearer

from .support.depth import examples

SIGN, LEAVE, STRIP = Verdict.SIGN, Verdict.LEAVE, Verdict.STRIP

IRIS = "https://iris.trackunit.com/api"
LOOPBACK = "http://127.0.0.1:8080/api"
OTHER = "https://evil.example/api"
ORIGINS = origins_of([IRIS, LOOPBACK])

OURS = Bearer("Bearer ours")
BASIC = "Basic bWU6bWluZQ=="
PROXY = {"http": "http://proxy.example:3128", "https": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("url", "authorization", "withheld", "proxies", "verdict"),
    [
        # where the request goes
        (IRIS, [], False, None, SIGN),
        (IRIS, [], False, PROXY, SIGN),  # a proxy sees no HTTPS request
        (LOOPBACK, [], False, None, SIGN),
        (LOOPBACK, [], False, {}, SIGN),
        (LOOPBACK, [], False, {"https": "http://proxy.example"}, SIGN),
        (LOOPBACK, [], False, PROXY, LEAVE),
        (LOOPBACK, [], False, {"all": "http://proxy.example"}, LEAVE),
        (LOOPBACK, [], False, {"http://127.0.0.1": "http://proxy.example"}, LEAVE),
        (LOOPBACK, [], False, CaseInsensitiveDict({"HTTP": "http://proxy.example"}), LEAVE),
        (OTHER, [], False, None, LEAVE),
        ("", [], False, None, LEAVE),
        # the token of an earlier send is replaced, or removed where the token may not go
        (IRIS, [OURS], False, None, SIGN),
        (IRIS, [OURS.redacted], False, None, SIGN),
        (LOOPBACK, [OURS], False, PROXY, STRIP),
        (OTHER, [OURS], False, None, STRIP),
        (OTHER, [OURS.redacted], False, None, STRIP),
        # the caller's authentication wins, and takes no token along
        (IRIS, [BASIC], False, None, LEAVE),
        (IRIS, [b"Basic bWU6bWluZQ=="], False, None, LEAVE),
        (IRIS, [""], False, None, LEAVE),
        (IRIS, [str(OURS)], False, None, LEAVE),
        (IRIS, [OURS, BASIC], False, None, STRIP),
        (OTHER, [BASIC], False, None, LEAVE),
        (OTHER, [BASIC, OURS], False, None, STRIP),
        # the mark: the caller set an authentication without a header, or another host redirected
        (IRIS, [], True, None, LEAVE),
        (OTHER, [], True, None, LEAVE),
        (IRIS, [OURS], True, None, LEAVE),  # the bearer of another session, given as auth=
        (OTHER, [OURS], True, None, LEAVE),
    ],
)
def test_decide_signs_leaves_or_strips_each_request_of_the_table(
    url, authorization, withheld, proxies, verdict
) -> None:
    assert (
        decide(url, authorization, origins=ORIGINS, withheld=withheld, proxies=proxies) is verdict
    )


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "AUTHORIZATION", b"Authorization", b"authorization"],
)
@pytest.mark.parametrize("kind", [dict, CaseInsensitiveDict])
def test_an_authorization_header_is_found_in_every_spelling(kind, name) -> None:
    headers = kind({"Accept": "*/*", "X-Authorization": "no", name: BASIC})
    assert authorization_of(headers) == {name: BASIC}


@pytest.mark.parametrize(
    "copied",
    [lambda r: r, lambda r: r.copy(), lambda r: r.copy().copy()],
    ids=["itself", "copy", "copy of a copy"],
)
@pytest.mark.parametrize("headers", [None, {}, {"X-Mine": "1"}], ids=str)
def test_the_mark_stays_on_copies_and_changes_no_header(copied, headers) -> None:
    request = requests.Request("GET", IRIS).prepare()
    request.headers = headers
    marked = copied(withhold(request))
    assert is_withheld(marked)
    assert dict(marked.headers) == (headers or {})


class Recording(BaseAdapter):
    """A network that keeps the last request."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, object]] = []

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        self.seen.append((str(request.url), request.headers.get("Authorization")))
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, str(request.url)
        response._content = b""
        return response

    def close(self) -> None:
        """Nothing is open."""


HOSTS = ["iris.trackunit.com", "IRIS.TrackUnit.com", "iris.trackunit.com.", "evil.example"]
HOSTS += ["iris%2etrackunit.com", "xn--irs-tma.trackunit.com", "iris.trаckunit.com", "[::1]"]  # noqa: RUF001
URLS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["https://", "HTTPS://", "http://", "https:\\\\", "//", " https://", ""]),
        st.sampled_from(["", "", "me:mine@", "@", "iris.trackunit.com@", "evil.example\\@"]),
        st.sampled_from(HOSTS),
        st.sampled_from(["", "", ":443", ":0443", ":80", ":8443", ":", "@evil.example", "\\x"]),
        st.sampled_from(["", "/", "/a?b=c", "?b", "#c", "/@evil.example", "/é", "\n", "\t/"]),
    ),
)


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(URLS, st.booleans())
def test_the_token_reaches_no_adapter_with_a_url_of_another_host(url: str, as_bytes: bool) -> None:
    """Whatever the caller writes, the URL that the adapter gets decides."""
    saved = {"access_token": "a", "token_type": "Bearer", "expires_at": time.time() + 3600}
    with IrisSession(base_url="https://iris.trackunit.com", token=saved) as iris:
        network = Recording()
        iris.mount("https://", network)
        iris.mount("http://", network)
        with contextlib.suppress(requests.RequestException, UnicodeError):
            iris.get(url.encode() if as_bytes else url)
    for sent, authorization in network.seen:
        target = parse_url(sent)
        ours = (target.scheme, target.host) == ("https", "iris.trackunit.com")
        ours = ours and target.port in (None, 443) and target.auth is None
        assert (authorization == "Bearer a") == ours
