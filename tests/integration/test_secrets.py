"""Nothing that is logged, warned of, shown or raised on the way holds a secret, in any form."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

import pytest

from requests_iris import IrisError, IrisSession
from requests_iris.sandbox import Fault, Sandbox

from ..conftest import SkippingClock
from .test_token_faults import closed_port, untrusted_certificate

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


def forms_of(secret: str) -> set[str]:
    """The secret as a log could hold it. In base64 also where it begins in mid-group."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        # the characters at the edges hold bits of the neighbours too
        forms.add(encoded[(0, 2, 3)[shift] : -1])
    return forms


def leaks(text: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if any(form in text for form in forms_of(secret))]


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


def shown(*things: object) -> str:
    return "\n".join(f"{thing!r}\n{thing!s}" for thing in things)


def told_of(error: BaseException) -> str:
    """All that the error and its causes show of themselves, and its formatted traceback."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    link: BaseException | None = error
    while link is not None:
        text += shown(link, link.args, vars(link))
        response = getattr(link, "response", None)
        if response is not None:
            text += shown(response.text, response.headers, vars(response.request))
        link = link.__cause__ or link.__context__
    return text


@contextmanager
def in_force(fault, iris: IrisSession, sandbox: Sandbox) -> Iterator[None]:
    """At the token endpoint, which for some faults has to be another one."""
    if isinstance(fault, Fault):
        sandbox.inject(fault, on="token", times=9)
        yield
        sandbox.clear_faults()
    else:
        with fault(sandbox) as iris._source._endpoint.url:
            yield
        iris._source._endpoint.url = sandbox.token_url


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_leaks(fault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = ""
    with (
        Sandbox(password=ODD, client_secret=ODD[::-1]) as sandbox,
        IrisSession(**sandbox.settings) as iris,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        iris.verify = sandbox.ca_file
        clock = iris._source._clock = iris._source._endpoint._clock = SkippingClock()
        iris._source._budget = 0.6 if fault in (FAULTS["hang"], FAULTS["trickle"]) else 10
        for step in (lambda: None, lambda: clock.sleep(3600), sandbox.revoke_access_tokens):
            step()
            with in_force(fault, iris, sandbox):
                try:
                    iris.get("/echo")
                except IrisError as error:
                    text += told_of(error)
            clock.sleep(61)  # for so long a refusal is remembered
            text += shown(iris.get("/echo"), iris, iris._source, iris._source.token, iris.bearer)
            text += shown(iris._source.credentials, iris._source._held)
        basic = b64encode(f"{iris.client_id}:{ODD[::-1]}".encode()).decode()
        secrets = [ODD, ODD[::-1], basic, str(sandbox.refresh_token), *sandbox.issued]
        assert basic in {seen.headers["Authorization"][6:] for seen in sandbox.seen}
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "new token" in logged
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}
    assert leaks(text + logged + shown(*(w.message for w in warned)), secrets) == []
