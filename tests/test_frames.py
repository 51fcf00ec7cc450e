"""A traceback with local variables, as rich, Sentry and cgitb show it, contains no secret."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from types import FrameType
from typing import Any

import pytest
from requests import ConnectionError
from requests.adapters import HTTPAdapter

from requests_iris import IrisSession, MissingSettingError, TokenError
from requests_iris.sandbox import Fault
from requests_iris.secret import forget_all

from .support.servers import serving
from .test_session import REFUSED

PASSWORD, SECRET, ACCESS, REFRESH, STORE = (
    f"hush-{name}" for name in ("password", "secret", "access", "refresh", "store")
)
#: All secrets that a session can be created with.
SECRETS: dict[str, Any] = {
    "client_id": "client",
    "client_secret": SECRET,
    "username": "user",
    "password": PASSWORD,
    "token": {"access_token": ACCESS, "refresh_token": REFRESH, "more": {"id": ACCESS}},
    "token_store": f"redis://:{STORE}@127.0.0.1:1/0",
}


#: The same for an API key.
KEY_SECRETS: dict[str, Any] = {
    **{name: SECRETS[name] for name in ("client_id", "client_secret", "token", "token_store")},
    "scope": "asset.view",
    "grant_type": "client_credentials",
}


def frames_of(error: BaseException) -> Iterator[tuple[str, dict[str, Any]]]:
    """The local variables of every frame behind an error and its causes, except the test's own."""
    links, seen = [error], set()
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        links += [link.__cause__, link.__context__]
        traceback = link.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if not frame.f_globals["__name__"].startswith("tests."):
                yield frame.f_code.co_name, frame.f_locals
            traceback = traceback.tb_next


#: Values with the levels that were searched, and whether the value shows a secret. Frames share
#: most values. The value in the result keeps the number of an object from a second use.
Known = dict[tuple[int, int], tuple[Any, bool]]


def shows_secret(value: Any, known: Known, levels: int = 2) -> bool:
    """Whether tools that show repr, slices, items and attributes of a value show a secret."""
    key = id(value), levels
    if key not in known:
        found = any("hush" in text or "s3cret" in text for text in texts_of(value)) or any(
            shows_secret(part, known, levels - 1) for part in (parts_of(value) if levels else ())
        )
        known[key] = value, found
    return known[key][1]


def texts_of(value: Any) -> Iterator[str]:
    yield repr(value)
    if isinstance(value, (str, bytes)):
        yield repr(value[:60])
        yield repr(value[-60:])
        if isinstance(value, str):
            yield repr(value.encode("utf-8", "surrogatepass"))


def parts_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in list(value.items()):
            yield from item
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif not isinstance(value, type):
        slots = getattr(type(value), "__slots__", ())
        for name in (*getattr(value, "__dict__", ()), *slots):
            yield getattr(value, name, None)


def leaks(error: BaseException) -> list[str]:
    known: Known = {}
    return [
        f"{function}: {name}"
        for function, variables in frames_of(error)
        for name, value in variables.items()
        if shows_secret(value, known)
    ]


def caught(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no error")


def test_the_detector_of_secrets_finds_a_secret_anywhere_in_a_frame() -> None:
    class Holder:
        def __init__(self, value: str) -> None:
            self.attribute = value

    class Slotted:
        __slots__ = ("slot",)

        def __init__(self, value: str) -> None:
            self.slot = value

    namespace: dict[str, Any] = {"__name__": "elsewhere"}
    exec("def fail(variable): raise ValueError", namespace)
    for planted in (
        *(PASSWORD, PASSWORD.encode(), [PASSWORD], {PASSWORD: 1}, {1: PASSWORD}, {1: [PASSWORD]}),
        *(Holder(PASSWORD), Slotted(PASSWORD), [Holder(PASSWORD)]),
    ):
        error = caught(lambda planted=planted: namespace["fail"](planted))
        assert leaks(error) == ["fail: variable"]
    assert leaks(caught(lambda: namespace["fail"]("nothing"))) == []


#: An API key with a user.
WRONG_GRANTS = [
    {"grant_type": "client_credentials", "username": "u"},
    {"grant_type": "client_credentials", "password": PASSWORD},
]


@pytest.mark.parametrize("refused", [*REFUSED, *WRONG_GRANTS], ids=str)
@pytest.mark.parametrize("secrets", [SECRETS, KEY_SECRETS], ids=["user", "key"])
@pytest.mark.parametrize("create", [IrisSession, IrisSession.from_env], ids=["init", "from_env"])
def test_no_frame_behind_a_refused_setting_shows_a_secret(create, secrets, refused) -> None:
    error = caught(lambda: create(**{**secrets, **refused}))
    assert error.setting in refused
    assert leaks(error) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "http://bad"),
        ("BASE_URL", "https://me:hush@host"),
        ("TOKEN_URL", "me:hush@host"),
        ("ALLOWED_HOSTS", "me:hush@host"),
        ("TOKEN_STORE", "https://me:hush@host"),
        ("TOKEN_STORE", "redis://me:hush@host:port"),
        ("SCOPE", "\\"),
        ("GRANT_TYPE", "implicit"),
        ("GRANT_TYPE", "client_credentials"),
        ("CLIENT_ID", "a:b"),
        ("CLIENT_SECRET", "hush\udcff"),
        ("PASSWORD", "hush\udcff"),
    ],
)
def test_no_frame_behind_a_refused_variable_shows_a_secret(name, value, monkeypatch) -> None:
    for secret in ("client_id", "client_secret", "username", "password", "token_store"):
        monkeypatch.setenv(f"ACME_{secret.upper()}", SECRETS[secret])
    monkeypatch.setenv(f"ACME_{name}", value)
    error = caught(lambda: IrisSession.from_env("ACME_", token=SECRETS["token"]))
    assert error.variable == f"ACME_{name}"
    assert leaks(error) == []


class Odd(str, Enum):  # noqa: UP042 (a StrEnum has another `str()`)
    """A subclass of str."""

    SECRET = "hush-odd"


#: Values that are no passwords, and contain a secret.
ODD = [PASSWORD.encode(), [PASSWORD], {"password": PASSWORD}, (PASSWORD,), "hush\udcff"]


@pytest.mark.parametrize("value", ODD, ids=str)
@pytest.mark.parametrize("name", ["client_secret", "password"])
def test_no_frame_behind_a_refused_secret_shows_the_secret(name, value) -> None:
    assert leaks(caught(lambda: IrisSession(**{name: value}))) == []
    assert leaks(caught(lambda: IrisSession().fetch_token(**{name: value}))) == []


@pytest.mark.parametrize("name", ["timeout", "auth", "headers", "key", "pasword", "unknown"])
@pytest.mark.parametrize("create", [IrisSession, IrisSession.from_env], ids=["init", "from_env"])
def test_no_frame_behind_an_unknown_argument_shows_a_secret(create, name) -> None:
    error = caught(lambda: create(**SECRETS, **{name: ("user", PASSWORD)}))
    assert isinstance(error, TypeError)
    assert leaks(error) == []


def test_no_frame_behind_a_wrong_prefix_shows_a_secret() -> None:
    assert leaks(caught(lambda: IrisSession.from_env(5, **SECRETS))) == []


SETTERS = {
    "token": lambda iris: setattr(iris, "token", {"access_token": "hush\n"}),
    "token without access token": lambda iris: setattr(iris, "token", {"refresh_token": REFRESH}),
    "token of another type": lambda iris: setattr(iris, "token", [ACCESS]),
    "token as text": lambda iris: setattr(iris, "token", ACCESS),
    "access_token": lambda iris: setattr(iris, "access_token", "hush\n"),
    "access_token as bytes": lambda iris: setattr(iris, "access_token", ACCESS.encode()),
    "token_updater": lambda iris: setattr(iris, "token_updater", {"access_token": ACCESS}),
    "password": lambda iris: setattr(iris, "password", PASSWORD),
    "client_secret": lambda iris: setattr(iris, "client_secret", SECRET),
    "token_store": lambda iris: setattr(iris, "token_store", SECRETS["token_store"]),
    "client_id": lambda iris: setattr(iris, "client_id", "a:b"),
    "scope": lambda iris: setattr(iris, "scope", "\\"),
    "auto_refresh_url": lambda iris: setattr(iris, "auto_refresh_url", "https://me:hush@host"),
    "auto_refresh_kwargs": lambda iris: setattr(iris, "auto_refresh_kwargs", {"x": SECRET}),
    "fetch_token with another URL": lambda iris: iris.fetch_token(
        "https://me:hush@host", password=PASSWORD, client_secret=SECRET
    ),
    "fetch_token with a bad client": lambda iris: iris.fetch_token(
        client_id="a:b", password=PASSWORD, client_secret=SECRET
    ),
    "refresh_token with another URL": lambda iris: iris.refresh_token(
        "https://me:hush@host", refresh_token=REFRESH
    ),
    "scope with offline_access": lambda iris: setattr(iris, "scope", "\\ offline_access"),
    "refresh_token as bytes": lambda iris: iris.refresh_token(refresh_token=REFRESH.encode()),
}


@pytest.mark.parametrize("call", SETTERS.values(), ids=SETTERS)
@pytest.mark.parametrize("secrets", [SECRETS, KEY_SECRETS], ids=["user", "key"])
def test_no_frame_behind_a_refused_assignment_or_call_shows_a_secret(secrets, call) -> None:
    iris = IrisSession(**{**secrets, "token_store": False})
    assert leaks(caught(lambda: call(iris))) == []


def test_no_frame_behind_a_missing_credential_shows_a_secret() -> None:
    iris = IrisSession(client_id="client", client_secret=SECRET, username="user")
    error = caught(lambda: iris.fetch_token(client_secret=SECRET))
    assert isinstance(error, MissingSettingError)
    assert leaks(error) == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"password": "wrong"}, Fault()),
        ({"client_secret": "wrong"}, Fault()),
        ({}, Fault(status=400, body={"error": "unauthorized_client"})),
        ({}, Fault(status=401)),
        ({}, Fault(status=404)),
        ({"token_url": "https://127.0.0.1:9/token"}, Fault()),
    ],
    ids=["user", "client", "right", "bare 401", "404", "network"],
)
@pytest.mark.parametrize("call", ["get", "fetch_token"])
def test_traceback_of_a_failed_sign_in_is_short_and_ends_with_the_message(
    sandbox, clock, settings, fault, call
) -> None:
    """A program without an except clause prints the traceback, and the user reads the last line."""
    sandbox.inject(fault, on="token", times=9)
    with IrisSession(**{**sandbox.settings, **settings}, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        error = caught(lambda: iris.get("/echo") if call == "get" else iris.fetch_token())
    printed = "".join(traceback.format_exception(error)).splitlines()
    assert sum(line.startswith("  File ") for line in printed) <= 12
    assert len(printed) <= 50
    assert printed[-1].startswith(f"requests_iris.errors.{type(error).__name__}: {error}"[:60])


def test_traceback_of_missing_credentials_is_short() -> None:
    error = caught(lambda: IrisSession().get("/echo"))
    assert len(traceback.extract_tb(error.__traceback__)) <= 12


def test_no_frame_behind_a_missing_scope_of_a_key_shows_a_secret() -> None:
    iris = IrisSession(**{**KEY_SECRETS, "scope": None, "token": None, "token_store": False})
    error = caught(lambda: iris.fetch_token(client_secret=SECRET))
    assert isinstance(error, MissingSettingError)
    assert leaks(error) == []


def test_no_frame_behind_a_user_of_a_key_shows_a_secret() -> None:
    iris = IrisSession(**{**KEY_SECRETS, "token_store": False})
    error = caught(lambda: iris.fetch_token(client_secret=SECRET, username="u", password=PASSWORD))
    assert error.setting == "grant_type"
    assert leaks(error) == []


def test_a_secret_that_is_an_enumeration_is_used_by_its_value(sandbox) -> None:
    password = Enum("Odd", {"SECRET": sandbox.settings["password"]}, type=str).SECRET
    with IrisSession(**{**sandbox.settings, "password": password}) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get("/echo").ok


class Answering(socketserver.BaseRequestHandler):
    """Sends `server.says` after a part of the request, and then resets the connection."""

    def handle(self) -> None:
        self.request.recv(10)
        self.request.sendall(self.server.says)  # type: ignore[attr-defined]
        if not self.server.says:  # type: ignore[attr-defined]
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def answering(says: bytes) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.says, server.daemon_threads = says, True  # type: ignore[attr-defined]
        with serving(server) as address:
            yield f"http://{address}"


def with_json(status: str, members: object, more: str = "") -> bytes:
    body = json.dumps(members)
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


OK = b"HTTP/1.1 200 OK\r\n"
#: What a server says in the place of a good response. Nothing: the connection is reset.
BAD = {
    "a reset": b"",
    "no status line": b"garbage\r\n\r\n",
    "too many headers": OK + b"a: b\r\n" * 200,
    "a body that breaks off": OK + b"Content-Length: 10\r\n\r\nab",
    "no chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "an impossible Location": b"HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("mounted", [True, False], ids=["another adapter", "our adapter"])
@pytest.mark.parametrize("size", [0, 5_000_000])
@pytest.mark.parametrize("bad", [*BAD.values(), None], ids=[*BAD, "no server"])
def test_no_frame_behind_a_failed_request_to_an_api_shows_the_token(bad, size, mounted) -> None:
    """http.client joins the headers to plain bytes, and keeps the bytes if sending fails."""
    with answering(bad or b"") as url:
        pass  # the port is free again
    with nullcontext(url) if bad is None else answering(bad) as url:
        iris = IrisSession(base_url=url, token=SECRETS["token"], retry=0, default_timeout=10)
        with iris:
            iris.trust_env = False
            if mounted:
                iris.mount(url, HTTPAdapter())
            assert leaks(caught(lambda: iris.post("/", data=b"x" * size))) == []


def test_the_variables_of_a_callers_frames_stay_after_a_failed_request() -> None:
    mine: list[FrameType] = []

    class Own(HTTPAdapter):
        def send(self, *args, **kwargs):
            local = "local"
            mine.append(sys._getframe())
            return super().send(*args, **kwargs), local

    with answering(b"") as url:
        pass
    with IrisSession(base_url=url, token=SECRETS["token"]) as iris:
        iris.mount(url, Own())
        assert isinstance(caught(lambda: iris.get("/")), ConnectionError)
    assert mine[0].f_locals["local"] == "local"


TOKENS = {"access_token": ACCESS, "refresh_token": REFRESH, "id_token": "hush-id"}
UNUSABLE = {
    "another type of token": with_json("200 OK", {**TOKENS, "token_type": "mac"}),
    "a bad refresh token": with_json("200 OK", {**TOKENS, "refresh_token": "hush\n"}),
    "a list as token": with_json("200 OK", {**TOKENS, "access_token": [ACCESS]}),
    "a list": with_json("200 OK", [TOKENS]),
    "a refusal with a token": with_json("400 No", {**TOKENS, "error": "invalid_grant"}),
    "an error with a token": with_json("500 No", TOKENS),
    "a redirect with a token": with_json("302 F", TOKENS, "Location: /x\r\n"),
    "no gzip": with_json("200 OK", TOKENS, "Content-Encoding: gzip\r\n"),
    "half a token": with_json("200 OK", TOKENS)[:-9],
    "half a token as JSON": OK + b'\r\n{"access_token": "hush-x", "refresh_token": "hush',
}


@pytest.mark.parametrize("says", UNUSABLE.values(), ids=UNUSABLE)
def test_no_frame_behind_an_unusable_token_shows_the_token(says) -> None:
    with answering(says) as url:
        settings = {**SECRETS, "token": None, "token_store": None, "base_url": url}
        with IrisSession(**settings, token_url=f"{url}/token", token_timeout=1) as iris:
            error = caught(iris.fetch_token)
            assert isinstance(error, TokenError)
            assert leaks(error) == []


def test_no_frame_of_the_library_shows_the_token_if_the_updater_fails() -> None:
    def failing(_: object) -> None:
        raise ZeroDivisionError

    with answering(with_json("200 OK", TOKENS)) as url:
        settings = {**SECRETS, "token": None, "token_store": None, "base_url": url}
        with IrisSession(**settings, token_url=f"{url}/token", token_updater=failing) as iris:
            error = caught(iris.fetch_token)
            assert isinstance(error, ZeroDivisionError)
            assert leaks(error) == []
            assert iris.token["id_token"] == "hush-id"
            assert type(iris.token["id_token"]) is str


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__context__ = second, first
    forget_all(first)
    assert leaks(first) == []
