"""Whatever the token endpoint answers: a token or an error of ours, and no secret in it."""

from __future__ import annotations

import html
import json
import logging
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_iris import IrisError, IrisSession, TokenReplyError
from requests_iris.sandbox import Fault, Sandbox

from .test_secrets import SkippingClock, leaks, shown, told_of

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
def test_no_exception_but_ours(shared: Sandbox, caplog, status, body, headers) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    secrets = [shared.settings["password"], shared.settings["client_secret"], *tokens_in(body)]
    fault = Fault(status=status, body=body, headers=headers)
    with IrisSession(**shared.settings) as iris:
        iris.verify = shared.ca_file
        iris._source._clock = iris._source._endpoint._clock = SkippingClock()
        shared.inject(fault, on="token", times=9)
        told = ""
        try:
            iris.fetch_token()
        except IrisError as error:
            told = told_of(error)
        finally:
            shared.clear_faults()
        told += shown(iris, iris._source, iris._source.token, iris._source._held)
    told += "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert leaks(told, secrets) == []


def tokens_in(body: object) -> list[str]:
    members = body if isinstance(body, dict) else {}
    tokens = (members.get(name) for name in ("access_token", "refresh_token"))
    return [token for token in tokens if str(token).startswith(MARK)]


def test_headers_of_the_reply_that_repeat_a_secret_are_cleaned(iris, sandbox) -> None:
    password = sandbox.settings["password"]
    there = f"{sandbox.foreign_url}/sign-in?password={password}"
    sandbox.inject(Fault(redirect=there), on="token")
    with pytest.raises(TokenReplyError) as caught:
        iris.get("/echo")
    assert caught.value.response.headers["Location"].endswith("?password=[secret]")
    assert password.encode() not in pickle.dumps(caught.value)


def test_a_header_in_utf_8_is_cleaned_too(iris, sandbox) -> None:
    iris.fetch_token()
    header = {"X-Was": ODD.encode().decode("latin-1")}
    sandbox.inject(Fault(status=403, headers=header), on="token")
    with pytest.raises(TokenReplyError) as caught:
        iris.fetch_token(password=ODD)
    assert caught.value.response.headers["X-Was"] == "[secret]"


def text_after(body: str | bytes, *, password: str) -> str:
    """The text on the error of a sign-in that is answered with `body`."""
    with Sandbox(password=password) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        sandbox.inject(Fault(status=400, body=body), on="token")
        with pytest.raises(TokenReplyError) as caught:
            iris.fetch_token()
    return caught.value.response.text


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
    ],
)
def test_a_password_that_the_reply_repeats_is_cleaned_in_any_spelling(echo) -> None:
    assert text_after(f"<p>{echo}</p>", password=ODD) == "<p>[secret]</p>"


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_password_is_cleaned_in_any_charset(charset) -> None:
    assert text_after(f"<p>{ODD}</p>".encode(charset), password=ODD) == "<p>[secret]</p>"


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_a_refusal_is_one_in_any_charset(iris, sandbox, charset) -> None:
    """In latin-1 it was none: where a refresh token was refused, nobody signed in again."""
    iris.fetch_token()
    refusal = '{"error": "invalid_grant", "error_description": "ungültig"}'.encode(charset)
    sandbox.inject(Fault(status=400, body=refusal), on="token")
    sandbox.revoke_access_tokens()
    assert iris.get("/echo").ok
    assert iris.counters["refresh_token"] == 1
    assert iris.counters["password"] == 2


@pytest.mark.parametrize("echo", [LASHES, json.dumps(LASHES)[1:-1], quote(LASHES)])
def test_many_backslashes_in_it_take_no_longer(echo) -> None:
    """They can be doubled or not, each of them: one by one, there would be too many ways."""
    assert text_after(f"{echo[:-1]}?{echo}", password=LASHES) == f"{echo[:-1]}?[secret]"


def test_an_error_without_a_name_is_none(iris: IrisSession, sandbox: Sandbox) -> None:
    reply = {"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "error": ""}
    sandbox.inject(Fault(status=200, body=reply), on="token")
    assert iris.fetch_token()["access_token"] == "a"
