"""Whatever the token endpoint answers: a token or an error of ours, and no secret in it."""

from __future__ import annotations

import html
import http.client
import io
import json
import logging
import math
import pickle
import socketserver
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import HTTPError, PreparedRequest, Response

from requests_iris import (
    InvalidGrantError,
    InvalidScopeError,
    IrisError,
    IrisSession,
    TokenError,
    TokenRefusedError,
    TokenResponseError,
)
from requests_iris.credentials import Credentials
from requests_iris.sandbox import OMIT, Fault, Sandbox
from requests_iris.token_endpoint import TokenEndpoint

from ..support.clocks import SkippingClock
from ..support.leaks import leaks, shown, told_of
from ..support.servers import serving

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=5), SCALARS)
NAMES = ["expires_in", "scope", "token_type", "error"]
#: What a token begins with here, so that none stands in a text by accident.
MARK = "made-up-"
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(MARK.__add__)
MEMBERS = {
    "access_token": VALUES | TOKENS,
    "refresh_token": VALUES | TOKENS,
    **dict.fromkeys(NAMES, VALUES),
}
OBJECTS = st.fixed_dictionaries({}, optional=MEMBERS)
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding", "Set-Cookie", "Location"]),
    HEADER_VALUES | st.sampled_from(["gzip", "-1", "0", "1e999", "text/html; charset=x"]),
)


@pytest.fixture(scope="module")
def shared():
    with Sandbox() as sandbox:
        yield sandbox


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=list(HealthCheck),
)
@given(
    status=st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500, 503]),
    body=OBJECTS | st.binary(max_size=60),
    headers=HEADERS,
)
def test_any_response_of_the_token_endpoint_is_a_token_or_an_error_of_ours(
    shared: Sandbox, caplog, status, body, headers
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    secrets = [shared.settings["password"], shared.settings["client_secret"], *tokens_in(body)]
    fault = Fault(status=status, body=body, headers=headers)
    with IrisSession(**shared.settings, clock=SkippingClock()) as iris:
        iris.verify = shared.ca_file
        shared.inject(fault, on="token", times=9)
        told = ""
        try:
            iris.fetch_token()
        except IrisError as error:
            told = told_of(error)
        finally:
            shared.clear_faults()
        told += shown(iris, *vars(iris).values())
    told += "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert leaks(told, secrets) == []


def tokens_in(body: object) -> list[str]:
    members = body if isinstance(body, dict) else {}
    tokens = (members.get(name) for name in ("access_token", "refresh_token"))
    return [token for token in tokens if str(token).startswith(MARK)]


def test_headers_of_the_response_that_repeat_a_secret_are_redacted(iris, sandbox) -> None:
    password = sandbox.settings["password"]
    there = f"{sandbox.foreign_url}/sign-in?password={password}"
    sandbox.inject(Fault(redirect=there), on="token")
    with pytest.raises(TokenResponseError) as caught:
        iris.get("/echo")
    assert caught.value.response.headers["Location"].endswith("?password=[secret]")
    assert password.encode() not in pickle.dumps(caught.value)


def test_a_header_in_utf_8_is_redacted(iris, sandbox) -> None:
    iris.fetch_token()
    header = {"X-Was": ODD.encode().decode("latin-1")}
    sandbox.inject(Fault(status=403, headers=header), on="token")
    with pytest.raises(TokenRefusedError) as caught:
        iris.fetch_token(password=ODD)
    assert caught.value.response.headers["X-Was"] == "[secret]"


def error_after(body: str | bytes, *, password: str) -> TokenError:
    """The error of a sign-in that is answered with `body`."""
    with Sandbox(password=password) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        sandbox.inject(Fault(status=400, body=body), on="token")
        with pytest.raises(TokenError) as caught:
            iris.fetch_token()
    return caught.value


def text_after(body: str | bytes, *, password: str) -> str:
    return error_after(body, password=password).response.text


@contextmanager
def server_that_answers(reply: bytes) -> Iterator[str]:
    """The URL of a token endpoint that answers with these very bytes, status line and all."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            headers = http.client.parse_headers(self.rfile) if self.rfile.readline() else {}
            self.rfile.read(int(headers["Content-Length"]))
            self.wfile.write(reply)

    with serving(socketserver.TCPServer(("127.0.0.1", 0), Answer)) as address:
        yield f"http://{address}/token"


def error_of_sign_in(reply: bytes, *, password: str = "hush") -> TokenError:
    """The error of a sign-in that is answered with `reply`."""
    nobody = {"client_id": "c", "client_secret": "hush", "username": "u", "password": password}
    with (
        server_that_answers(reply) as url,
        IrisSession(**nobody, token_url=url) as iris,
        pytest.raises(TokenError) as caught,
    ):
        iris.fetch_token()
    return caught.value


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "päss-hunter2"])
@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "gb18030"])
def test_no_part_of_the_response_on_an_error_repeats_a_secret(secret: str, charset: str) -> None:
    head = f"HTTP/1.1 400 bad {secret}\r\nSet-Cookie: u={secret}\r\nX-{secret}: a\r\n"
    body = f'{{"error": "invalid_grant", "error_description": "{secret}"}}'
    reply = f"{head}Connection: close\r\n\r\n{body}".encode(charset)
    error = error_of_sign_in(reply, password=secret)
    assert isinstance(error, InvalidGrantError)
    with error.response as response:
        assert response.status_code == 400
        assert not response.cookies
        assert response.raw is None
    with pytest.raises(HTTPError) as told:
        response.raise_for_status()
    assert str(told.value).startswith("400 Client Error: ")
    told_all = f"{told.value} {vars(response)} {response.content!r} {pickle.dumps(error)!r}"
    assert "hunter2" not in told_all


def test_the_rest_of_the_response_is_unchanged() -> None:
    reply = b"HTTP/1.1 403 Not Today\r\nX-Is: here\r\nConnection: close\r\n\r\n<p>no</p>"
    response = error_of_sign_in(reply).response
    assert response.url.endswith("/token")
    assert response.elapsed.total_seconds() > 0
    assert response.reason == "Not Today"
    assert response.headers["x-is"] == "here"
    assert response.text == "<p>no</p>"
    assert response.encoding == "utf-8"


def answer(body: str, *, status: int = 400) -> bytes:
    return f"HTTP/1.1 {status} So\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "no token", ""),
        (299, "no token", ""),
        (300, "no token, ä", "no token, ä"),
        (300, '{"access_token": "a"}', ""),
        (400, '{"access_token": "a"', ""),
        (400, "refresh_token=a", ""),
        (400, "no refresh_tokens", "no refresh_tokens"),
    ],
)
def test_a_body_that_may_hold_a_token_is_left_out(status, body, told) -> None:
    error = error_of_sign_in(answer(body, status=status))
    assert error.response.text == told


def test_an_empty_secret_is_not_redacted() -> None:
    assert error_of_sign_in(answer("no token"), password="").response.text == "no token"


def test_every_secret_of_a_renewal_is_redacted(iris: IrisSession, sandbox: Sandbox) -> None:
    client = sandbox.settings["client_id"], sandbox.settings["client_secret"]
    secrets = [iris.fetch_token()["refresh_token"], client[1], b64encode(":".join(client).encode())]
    sandbox.inject(Fault(status=400, body=" {} {} {!s} ".format(*secrets)), on="token")
    with pytest.raises(TokenRefusedError) as caught:
        iris.refresh_token()
    assert caught.value.response.text == " [secret] [secret] b'[secret]' "


@pytest.mark.parametrize(
    ("description", "told"),
    [
        *((None, None), ("", None), (5, "5"), (" a\n\u00e4\tb ", "a \u00e4 b")),
        (300 * "x", 197 * "x" + "..."),
    ],
)
def test_a_description_is_one_short_line(description: object, told: str | None) -> None:
    body = {"error": "invalid_grant", "error_description": description}
    assert error_of_sign_in(answer(json.dumps(body))).description == told


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        ("invalid_scope", InvalidScopeError, "Check scope."),
        ("unauthorized_client", TokenRefusedError, "Check the API User and its client."),
        (["invalid_scope"], TokenRefusedError, "Check the API User and its client."),
    ],
)
def test_an_error_says_what_to_check(error: object, kind: type[TokenError], advice: str) -> None:
    caught = error_of_sign_in(answer(json.dumps({"error": error})))
    assert type(caught) is kind
    assert str(caught).endswith(f". {advice}")


#: ä " \ / & < > and a space are what somebody escapes.
ODD = 'pä"s\\s /&<x>'
LASHES = "a" + 60 * "\\" + "z"


@pytest.mark.parametrize(
    "echo",
    [
        json.dumps(ODD)[1:-1],
        json.dumps(ODD, ensure_ascii=False)[1:-1],
        json.dumps(ODD)[1:-1].replace("/", "\\/").replace("<", "\\u003C"),
        quote(ODD),
        quote(ODD, safe="").lower(),
        quote_plus(ODD),
        html.escape(ODD),
        html.escape(ODD, quote=False).replace("ä", "&auml;"),
        "".join(f"&#{ord(each)};" for each in ODD),
        ascii(ODD)[1:-1],
        repr(ODD.encode())[2:-1],
        "".join(f"&#x{ord(each):X};" for each in ODD),
        "".join(f"\\u{ord(each):04x}" for each in ODD),
    ],
)
def test_a_password_that_the_response_repeats_is_redacted_in_any_spelling(echo) -> None:
    assert text_after(f"<p>{echo}</p>", password=ODD) == "<p>[secret]</p>"


@pytest.mark.parametrize("secret", ["it", "it1", "it12"])
def test_a_basic_header_is_redacted_without_its_padding(secret) -> None:
    with Sandbox(client_secret=secret) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        basic = b64encode(f"{iris.client_id}:{secret}".encode()).decode().rstrip("=")
        sandbox.inject(Fault(status=400, body=basic), on="token")
        with pytest.raises(TokenError) as caught:
            iris.fetch_token()
    assert caught.value.response.text == "[secret]"


def test_no_part_of_an_escape_at_the_end_of_a_secret_stays() -> None:
    assert text_after("<p>a&amp;</p>", password="a&") == "<p>[secret]</p>"


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_password_is_redacted_in_any_unicode_charset(charset) -> None:
    assert text_after(f"<p>{ODD}</p>".encode(charset), password=ODD) == "<p>[secret]</p>"


@pytest.mark.parametrize(
    ("charset", "password"),
    [("latin-1", ODD), ("gb18030", ODD), ("iso2022_jp", "密hunter2"), ("utf-16-le", "中hunter2")],
)
def test_a_body_in_another_charset_is_left_out(charset, password) -> None:
    """In it the password's letters beyond ASCII are unknown, and the others stand between them."""
    assert text_after(password.encode(charset), password=password) == ""


def test_a_refusal_in_another_charset_shows_its_error_code_only() -> None:
    body = '{"error": "invalid_grant", "error_description": "no pä-hunter2"}'.encode("gb18030")
    error = error_after(body, password="pä-hunter2")
    assert isinstance(error, InvalidGrantError)
    assert (error.error, error.description) == ("invalid_grant", None)
    assert "hunter2" not in told_of(error)


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_a_refusal_in_any_charset_leads_to_the_password(iris, sandbox, charset) -> None:
    """In latin-1 it was none: where a refresh token was refused, nobody signed in again."""
    iris.fetch_token()
    refusal = '{"error": "invalid_grant", "error_description": "ungültig"}'.encode(charset)
    sandbox.inject(Fault(status=400, body=refusal), on="token")
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1
    assert iris.counters["password"] == 2


@pytest.mark.parametrize("echo", [LASHES, json.dumps(LASHES)[1:-1], quote(LASHES)])
def test_a_secret_with_many_backslashes_is_redacted_quickly(echo) -> None:
    """They can be doubled or not, each of them: one by one, there would be too many ways."""
    assert text_after(f"{echo[:-1]}?{echo}", password=LASHES) == f"{echo[:-1]}?[secret]"


def test_an_empty_error_member_is_no_error(iris: IrisSession, sandbox: Sandbox) -> None:
    reply = {"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "error": ""}
    sandbox.inject(Fault(status=200, body=reply), on="token")
    assert iris.fetch_token()["access_token"] == "a"


def test_a_response_without_a_scope_keeps_the_known_scope(iris, sandbox) -> None:
    """RFC 6749 sections 5.1 and 6: a renewal leaves the one that was granted."""
    sandbox.inject(Fault(reply={"scope": OMIT}), on="token")
    assert iris.fetch_token()["scope"] == ["api", "offline_access"]
    for reply in ({"scope": "api"}, {"scope": OMIT}):
        sandbox.inject(Fault(reply=reply), on="token")
        assert iris.refresh_token()["scope"] == ["api"]


def asked_and_told(password: str, response: Response) -> tuple[PreparedRequest, TokenError]:
    """A sign-in that never gets to a network, and the error that `response` makes of it."""
    asked: list[PreparedRequest] = []

    def send(request: PreparedRequest, timeout: float) -> Response:
        asked.append(request)
        return response

    nobody = Credentials(client_id="c", client_secret="hush", username="u", password=password)
    with pytest.raises(TokenResponseError) as caught:
        TokenEndpoint("https://x/token").password_grant(nobody, ("a", "b"), send, math.inf)
    (request,) = asked
    return request, caught.value


@pytest.fixture
def by_hand() -> Response:
    """As mocks put one together: it has no reason, and a header that no server can send."""
    response = Response()
    response.status_code, response.raw = 404, io.BytesIO(b"no")
    response.headers["X-Is"] = "→"
    return response


def test_a_handmade_response_is_on_the_error(by_hand: Response) -> None:
    _, error = asked_and_told("hush", by_hand)
    assert (error.response.reason, error.response.headers["X-Is"]) == ("", "&#8594;")


@pytest.mark.parametrize(("password", "sent"), [("p q", "p+q"), ("", "")])
def test_a_sign_in_sends_every_field_even_if_it_is_empty(by_hand, password, sent) -> None:
    request, _ = asked_and_told(password, by_hand)
    fields = ["grant_type=password", f"password={sent}", "scope=a+b", "username=u"]
    assert sorted(request.body.split("&")) == fields
    assert request.headers["Accept"] == "application/json"
