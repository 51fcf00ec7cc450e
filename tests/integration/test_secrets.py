"""No log record, warning, repr or error holds a secret, in any form."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import time
import traceback
import warnings
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from urllib.parse import quote, quote_plus

import pytest

from requests_iris import IrisError, IrisSession, MissingSettingError, TokenError
from requests_iris.sandbox import OMIT, Fault, Sandbox
from requests_iris.secret import Secret
from requests_iris.source import TOKEN_TIMEOUT

from ..support.adapters import Elsewhere, mounted
from ..support.clocks import SkippingClock, advanced_after
from ..support.leaks import leaks, shown, told_of
from ..support.token_endpoints import closed_port, untrusted_certificate
from ..support.waiting import HUNG

#: Whose frames show nothing.
QUIET = {"requests_iris", "requests", "urllib3", "http", "ssl", "socket"}

FAULTS = {
    "500": Fault(status=500, body="oops"),
    "503": Fault(status=503, body="<html>Sorry</html>"),
    "429": Fault(status=429, headers={"Retry-After": "2"}, body="{}"),
    "empty": Fault(status=200, body=""),
    "no object": Fault(status=200, body="[1]"),
    "no access token": Fault(reply={"access_token": None}),
    "an odd token": Fault(reply={"access_token": 7}),
    "garbage": Fault(status=200, body="\x00<{[" * 250_000),
    "truncated": Fault(truncate=40),
    "closed before the work": Fault(drop="before"),
    "closed after the work": Fault(drop="after"),
    "hang": Fault(delay=30),
    "trickle": Fault(trickle=0.1),
    "invalid_grant": Fault(status=400, body={"error": "invalid_grant"}),
    "invalid_client": Fault(status=401, body={"error": "invalid_client"}),
    "connection refused": closed_port,
    "TLS failure": untrusted_certificate,
}
#: What URL encoding, JSON and base64 change.
ODD = 'päss "w\\rd+%&=/?🚜'


@pytest.mark.parametrize("secret", [ODD, "plain-secret-0123"])
@pytest.mark.parametrize(
    "leak",
    [
        str,
        repr,
        quote,
        quote_plus,
        json.dumps,
        lambda secret: f"{secret.encode()!r}",
        lambda secret: b64encode(secret.encode()).decode(),
        lambda secret: b64encode(f"client:{secret}".encode()).decode(),
        lambda secret: b64encode(f"a-client:{secret}".encode()).decode(),
        lambda secret: b64encode(f"my-client:{secret}@".encode()).decode(),
    ],
)
def test_the_detector_finds_a_planted_leak(leak, secret) -> None:
    assert leaks(f"before {leak(secret)} after", [secret]) == [secret]
    assert leaks("before and after", [secret]) == []


@contextmanager
def in_force(fault, iris: IrisSession, sandbox: Sandbox, clock: SkippingClock) -> Iterator[None]:
    """The fault at the token endpoint, or at a server in its place.

    If the response is slow, the time for the token request ends soon after the request came.
    """
    if isinstance(fault, Fault):
        issued = len(sandbox.issued)
        sandbox.inject(fault, on="token", times=9)

        def begun() -> bool:
            if len(sandbox.issued) == issued:
                return False
            time.sleep(2 * fault.trickle)  # a few bytes of a body have probably come
            return True

        with (
            advanced_after(begun, clock, TOKEN_TIMEOUT)
            if fault in (FAULTS["hang"], FAULTS["trickle"])
            else nullcontext()
        ):
            yield
        sandbox.clear_faults()
    else:
        server = deaf(clock) if fault is deaf else fault(sandbox)
        with server as url, mounted(iris, sandbox.token_url, Elsewhere(url)):
            yield


@contextmanager
def session(
    sandbox: Sandbox, clock: SkippingClock, grant: str = "password"
) -> Iterator[IrisSession]:
    settings = sandbox.settings if grant == "password" else sandbox.key_settings
    with IrisSession(**settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris


@contextmanager
def odd_sandbox() -> Iterator[Sandbox]:
    """A sandbox with secrets that are hard to find in a text."""
    with Sandbox(password=ODD, client_secret=ODD[::-1], key_secret=ODD) as sandbox:
        yield sandbox


@pytest.mark.parametrize("grant", ["password", "client_credentials"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_error_log_repr_pickle_or_warning_shows_a_secret(
    fault, grant, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = ""
    with (
        odd_sandbox() as sandbox,
        session(sandbox, clock, grant) as iris,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        for step in (lambda: None, lambda: clock.sleep(3600), sandbox.revoke_access_tokens):
            step()
            with in_force(fault, iris, sandbox, clock):
                try:
                    iris.get("/echo")
                except IrisError as error:
                    text += told_of(error) + repr(pickle.dumps(error))
            clock.sleep(61)  # for so long a refusal is remembered
            text += shown(iris.get("/echo"), iris, iris.bearer, *vars(iris).values())
        basic = b64encode(f"{iris.client_id}:{ODD[::-1]}".encode()).decode()
        secrets = [ODD, ODD[::-1], basic, *filter(None, [sandbox.refresh_token]), *sandbox.issued]
        headers = {seen.headers.get("Authorization", "")[6:] for seen in sandbox.seen}
        assert (basic in headers) == (grant == "password")
        assert sandbox.count(grant) > 0
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "New token" in logged
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}
    assert leaks(text + logged + shown(*(w.message for w in warned)), secrets) == []


@contextmanager
def closed_plain_port(sandbox: Sandbox) -> Iterator[str]:
    """By plain http urllib3 connects late, with the whole request in its hands."""
    with closed_port(sandbox) as url:
        yield url.replace("https:", "http:")


@contextmanager
def deaf(clock: SkippingClock) -> Iterator[str]:
    """Takes a request and never answers. The time for the token request ends meanwhile."""

    def hear() -> bool:
        connections.append(server.accept()[0])
        return bool(connections[0].recv(1))

    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(HUNG)
        with advanced_after(hear, clock, TOKEN_TIMEOUT):
            yield f"http://127.0.0.1:{server.getsockname()[1]}/token"
        connections[0].close()


def sign_in(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.fetch_token(**{name: sandbox.settings[name] for name in ("password", "client_secret")})


def renew(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.refresh_token(refresh_token=iris.token["refresh_token"])


def sign_in_with_key(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.fetch_token(client_secret=sandbox.key_settings["client_secret"])


def request(iris: IrisSession, sandbox: Sandbox) -> None:
    """With an expired token, and a refresh token."""
    iris.token = {**iris.token, "expires_at": 0}
    iris.get("/echo")


def locals_shown(error: BaseException | None) -> Iterator[str]:
    """The frames behind an error and its causes, as ``pytest -l``, Sentry and rich show them."""
    links, seen = [error], set()
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        links += [link.__cause__, link.__context__]
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_globals["__name__"].partition(".")[0] in QUIET:
                yield from (f"{name}={value!r}" for name, value in frame.f_locals.items())


IN_FRAMES = {
    **FAULTS,
    "another type of token": Fault(reply={"token_type": "mac"}),
    "a refusal in odd words": Fault(status=400, body={"error": ODD, "error_description": ODD}),
    "a token that broke off late": Fault(truncate=-2),
    "no connection by plain http": closed_plain_port,
    "no answer": deaf,
    "no CA bundle": None,
}


@pytest.mark.parametrize(
    ("grant", "call"),
    [
        *(("password", sign_in), ("password", renew), ("password", request)),
        *(("client_credentials", sign_in_with_key), ("client_credentials", request)),
    ],
)
@pytest.mark.parametrize("fault", IN_FRAMES.values(), ids=IN_FRAMES)
def test_local_variables_in_a_traceback_show_no_secret(
    fault, grant, call, tmp_path, clock: SkippingClock
) -> None:
    with (
        odd_sandbox() as sandbox,
        session(sandbox, clock, grant) as iris,
    ):
        iris.fetch_token()
        if fault is None:
            iris.verify = str(tmp_path / "no.pem")
            iris.adapters["https://"].close()
        before = sandbox.refresh_token or ODD
        with (
            nullcontext() if fault is None else in_force(fault, iris, sandbox, clock),
            pytest.raises(TokenError) as caught,
        ):
            call(iris, sandbox)
        basic = b64encode(f"{iris.client_id}:{ODD[::-1]}".encode()).decode()
        secrets = [
            ODD,
            ODD[::-1],
            basic,
            before,
            *filter(None, [sandbox.refresh_token]),
            *sandbox.issued,
        ]
    shown = list(locals_shown(caught.value))
    assert "IrisSession" in "".join(shown)
    assert [each for each in shown if leaks(each, secrets)] == []


REPEATED = [
    str,
    quote,
    quote_plus,
    lambda secret: quote(secret, safe="").lower(),
    json.dumps,
    lambda secret: f"{secret.encode()!r}",
]


@pytest.mark.parametrize("spelled", REPEATED)
@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_secret_of_a_key_is_removed_from_a_response_that_repeats_the_body(
    spelled, status, clock
) -> None:
    """Servers repeat parts of a request in their error pages."""
    with odd_sandbox() as sandbox, session(sandbox, clock, "client_credentials") as iris:
        secret = sandbox.key_settings["client_secret"]
        body = f"client_id=x&client_secret={spelled(secret)}&scope=asset.view"
        for text in (body, json.dumps({"error": "invalid_client", "error_description": body})):
            fault = Fault(status=status, body=text, headers={"X-Request": spelled("plain")})
            sandbox.inject(fault, on="token", times=9)
            with pytest.raises(TokenError) as caught:
                iris.get("/echo")
            sandbox.clear_faults()
            clock.sleep(61)
            told = told_of(caught.value) + repr(pickle.dumps(caught.value))
            assert leaks(told, [secret]) == []
            assert "[secret]" in caught.value.response.text
            assert caught.value.response.request.body is None


def test_an_error_that_the_caller_handles_keeps_its_local_variables(iris, sandbox) -> None:
    def failing() -> None:
        mine = "mine"
        raise ValueError(mine)

    sandbox.inject(Fault(drop="before"), on="token", times=9)
    try:
        failing()
    except ValueError as error:
        with pytest.raises(TokenError):
            iris.get("/echo")
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        assert frame.f_locals == {"mine": "mine"}


@pytest.mark.parametrize("part", [repr, lambda secret: f"{secret[:80]!r}", lambda s: repr([s])])
def test_a_part_or_an_encoding_of_a_secret_does_not_show_the_secret(part) -> None:
    secret = Secret(ODD * 9)
    assert leaks(part(secret) + part(secret.encode()), [ODD]) == []


def test_a_token_for_the_caller_holds_plain_text(iris, sandbox) -> None:
    told = []
    iris.token_updater = told.append
    iris.fetch_token(password=sandbox.settings["password"])
    sandbox.inject(Fault(reply={"refresh_token": OMIT}), on="token")
    told += [iris.token, iris.refresh_token(refresh_token=iris.token["refresh_token"]), iris.token]
    assert len(told) == 5
    assert {type(token[name]) for token in told for name in ("access_token", "refresh_token")} == {
        str
    }


def test_local_variables_show_no_secret_if_another_setting_is_missing() -> None:
    given = {"client_id": "c", "client_secret": ODD, "username": "u"}
    with IrisSession(**given) as iris, pytest.raises(MissingSettingError) as caught:
        iris.get("/echo")
    assert leaks("".join(locals_shown(caught.value)), [ODD]) == []
