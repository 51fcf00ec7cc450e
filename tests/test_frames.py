"""A traceback with local variables, as rich, Sentry and cgitb show it, contains no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from requests_iris import IrisSession, MissingSettingError

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


def shown(value: Any, levels: int = 2) -> Iterator[str]:
    """What tools show of a value: its repr, slices, items and attributes."""
    yield repr(value)
    if isinstance(value, (str, bytes)):
        yield repr(value[:60])
        yield repr(value[-60:])
        if isinstance(value, str):
            yield repr(value.encode("utf-8", "surrogatepass"))
    if levels == 0:
        return
    if isinstance(value, dict):
        for key, item in list(value.items()):
            yield from shown(key, levels - 1)
            yield from shown(item, levels - 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from shown(item, levels - 1)
    elif not isinstance(value, type):
        slots = getattr(type(value), "__slots__", ())
        for name in (*getattr(value, "__dict__", ()), *slots):
            yield from shown(getattr(value, name, None), levels - 1)


def leaks(error: BaseException) -> list[str]:
    return [
        f"{function}: {name}"
        for function, variables in frames_of(error)
        for name, value in variables.items()
        if any("hush" in text or "s3cret" in text for text in shown(value))
    ]


def caught(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no error")


def test_the_detector_finds_a_secret_in_each_place() -> None:
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


class Odd(str, Enum):
    """A str that is no plain str."""

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
