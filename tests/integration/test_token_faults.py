"""Every fault of the token endpoint, at every age of the token.

The tests check the error, the number of token requests, the pauses, and that the next request
recovers.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate

import pytest
from requests.exceptions import ConnectionError, InvalidProxyURL
from urllib3.exceptions import HTTPError

from requests_iris import (
    IrisSession,
    TokenError,
    TokenResponseError,
    TokenTimeoutError,
    TokenUnreachableError,
)
from requests_iris.credentials import Credentials
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.source import TOKEN_TIMEOUT
from requests_iris.token_endpoint import RESPONSE_AT_MOST, TokenEndpoint

from ..support.adapters import Elsewhere, mounted
from ..support.clocks import SkippingClock, advanced_after
from ..support.token_endpoints import closed_port, untrusted_certificate
from ..support.waiting import wait_until

#: More token requests than any call makes.
ALWAYS = 20
#: The largest number of token requests for a call.
AT_MOST = 6


@dataclass(frozen=True)
class Row:
    """A fault, the error of the call, and the number of token requests that one grant makes.

    :ivar lost: whether the server issues a token that never arrives: the refresh token is used up.
    :ivar says: a pattern of the words of the system in the error.
    :ivar retry_after: seconds for which no further request is made.
    """

    fault: object
    error: type[TokenError]
    requests: int
    retryable: bool = True
    lost: bool = False
    says: str = ""
    retry_after: float = 0


def patience(retry_after: str | None, requests: int, *, seconds: float = 0) -> Row:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    fault = Fault(status=429, body="{}", headers=headers)
    return Row(fault, TokenResponseError, requests, retry_after=seconds)


def nonsense(*, says: str = "", **answer: object) -> Row:
    return Row(Fault(**answer), TokenResponseError, 1, retryable=False, says=says)


UNAVAILABLE = {"error": "temporarily_unavailable"}
TABLE = {
    "408": Row(Fault(status=408, body=""), TokenResponseError, 3, says="Try again later"),
    "500": Row(Fault(status=500, body="oops"), TokenResponseError, 3),
    "502": Row(Fault(status=502, body=""), TokenResponseError, 3),
    "503 with HTML": Row(Fault(status=503, body="<html>Sorry</html>"), TokenResponseError, 3),
    "503 with an OAuth error": Row(Fault(status=503, body=UNAVAILABLE), TokenResponseError, 3),
    "429": patience(None, 3),
    "429, in 2 s": patience("2", 3, seconds=2),
    "429, in 16 s": patience("16", 2, seconds=16),
    "429, in 60 s": patience("60", 1, seconds=60),
    "429, at a date that is past": patience(formatdate(0, usegmt=True), 3),
    "429, at a date that is far": patience(formatdate(4e9, usegmt=True), 1, seconds=15 * 60),
    "429, at no time": patience("soon", 3),
    "404": nonsense(status=404, body="<html>Not here</html>"),
    "407": nonsense(status=407, body="", says="Check the proxy"),
    "421": nonsense(status=421, body=""),
    "425": Row(Fault(status=425, body=""), TokenResponseError, 3),
    "400, but temporary": Row(
        Fault(status=400, body={"error": "slow_down"}), TokenResponseError, 3
    ),
    "a redirect": nonsense(redirect="https://127.0.0.1:9/", says="Redirects are not followed"),
    "an empty body": nonsense(status=200, body=""),
    "JSON, but no object": nonsense(status=200, body="[1]"),
    "an object, but no token": nonsense(status=200, body="{}"),
    "JSON of too many levels": nonsense(status=200, body="[" * 60_000),
    "truncated JSON": nonsense(status=200, body='{"access_token": "abc'),
    "1 MB of garbage": nonsense(status=200, body="\x00<{[" * 250_000),
    "closed in the middle": Row(Fault(truncate=20), TokenUnreachableError, 3, lost=True),
    "closed before the work": Row(Fault(drop="before"), TokenUnreachableError, 3),
    "closed after the work": Row(Fault(drop="after"), TokenUnreachableError, 3, lost=True),
    "a hang": Row(Fault(delay=60), TokenTimeoutError, 1, lost=True, says="in time|timed out"),
    "a trickle": Row(Fault(trickle=0.1), TokenTimeoutError, 1, lost=True, says="in time|timed out"),
    "connection refused": Row(closed_port, TokenUnreachableError, 3, says="refused"),
    "TLS failure": Row(untrusted_certificate, TokenUnreachableError, 3, says="verify failed"),
}
SLOW = [TABLE[name] for name in ("a hang", "a trickle")]
PASSING = {
    name: row for name, row in TABLE.items() if row.requests > 1 and isinstance(row.fault, Fault)
}

each_fault = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


@pytest.fixture
def iris(sandbox: Sandbox, clock: SkippingClock) -> Iterator[IrisSession]:
    with IrisSession(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris


@pytest.fixture
def down(iris: IrisSession, sandbox: Sandbox, clock: SkippingClock):
    """A context in which the token endpoint has the fault of a row.

    The end of the context checks how many requests were made, and how long the pauses were.
    """

    @contextmanager
    def context(row: Row) -> Iterator[None]:
        before, start, issued = asked(iris), clock.skipped, len(sandbox.issued)
        sandbox.forget()
        if isinstance(row.fault, Fault):
            sandbox.inject(row.fault, on="token", times=ALWAYS)
            if row in SLOW:  # the server has issued the token when the time is up
                with advanced_after(lambda: len(sandbox.issued) > issued, clock, TOKEN_TIMEOUT):
                    yield
            else:
                yield
            if row.lost:  # the server may issue the token only now
                wait_until(lambda: len(sandbox.issued) > issued)
            sandbox.clear_faults()
            assert sandbox.count("token") == row.requests
        else:
            with row.fault(sandbox) as url, mounted(iris, sandbox.token_url, Elsewhere(url)):
                yield
            assert sandbox.count("token") == 0
        assert asked(iris) - before == row.requests
        assert clock.skipped - start <= TOKEN_TIMEOUT == 30
        clock.sleep(row.retry_after)

    return context


def asked(iris: IrisSession) -> int:
    return iris.counters["password"] + iris.counters["refresh_token"]


def fails(iris: IrisSession, row: Row) -> None:
    with pytest.raises(TokenError) as caught:
        iris.get("/echo")
    assert type(caught.value) is row.error
    assert caught.value.retryable is row.retryable
    assert re.search(row.says, str(caught.value))


def recovers(iris: IrisSession, *, requests: int) -> None:
    """The next request gets a new token, with so many token requests, and the API accepts it."""
    before, old = asked(iris), iris.access_token
    assert iris.get("/echo").ok
    assert asked(iris) - before == requests
    assert iris.access_token != old


@each_fault
def test_a_first_sign_in_that_fails_raises_and_the_next_request_recovers(
    iris, sandbox: Sandbox, down, row: Row
) -> None:
    with down(row):
        fails(iris, row)
    assert sandbox.count("api") == 0
    assert not iris.authorized
    recovers(iris, requests=1)


@each_fault
def test_no_request_notices_a_failed_early_renewal(
    iris, sandbox: Sandbox, clock, down, row: Row
) -> None:
    """The token is unexpired. The renewal is tried again after a pause."""
    iris.get("/echo")
    clock.sleep(3000)
    before = iris.token
    with down(row):
        assert iris.get("/echo").ok
        assert iris.get("/echo").ok
    assert iris.token == before
    clock.sleep(40)
    recovers(iris, requests=2 if row.lost else 1)
    assert sandbox.count("api") == sandbox.count("api", 200) == 3


@each_fault
def test_a_failed_renewal_of_an_expired_token_raises_and_keeps_the_token(
    iris, sandbox: Sandbox, clock, down, row: Row
) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    before = iris.token
    with down(row):
        fails(iris, row)
    assert sandbox.count("api") == 0
    assert iris.token == before  # with its refresh token, which may still be good
    recovers(iris, requests=2 if row.lost else 1)


@each_fault
@pytest.mark.parametrize("call", [IrisSession.fetch_token, IrisSession.refresh_token])
def test_a_fresh_token_stays_in_use_after_a_failed_fetch_token(iris, down, row: Row, call) -> None:
    iris.get("/echo")
    before = iris.token
    with down(row), pytest.raises(row.error):
        call(iris)
    assert iris.token == before
    assert iris.get("/echo").ok
    assert iris.token == before


@pytest.mark.parametrize("row", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("age", [None, 3000, 3600])
def test_no_request_notices_a_passing_fault(iris, sandbox: Sandbox, clock, row: Row, age) -> None:
    if age is not None:
        iris.get("/echo")
        clock.sleep(age)
    sandbox.inject(row.fault, on="token")
    used_up = row.lost and age is not None
    recovers(iris, requests=3 if used_up else 2)
    assert iris.access_token == sandbox.issued[-1]


def test_the_longest_renewal_ends_in_time(iris, sandbox: Sandbox, clock: SkippingClock) -> None:
    """Two responses to the refresh token are lost, then it is refused; two sign-ins are lost."""
    iris.get("/echo")
    clock.sleep(3600)
    start = clock.skipped
    for lost, times in ((Fault(drop="after"), 2), (Fault(), 1), (Fault(drop="before"), 2)):
        sandbox.inject(lost, on="token", times=times)
    recovers(iris, requests=AT_MOST)
    assert clock.skipped - start <= TOKEN_TIMEOUT


def test_the_longest_renewal_that_fails_ends_in_time(iris, sandbox: Sandbox, clock) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    before, start = asked(iris), clock.skipped
    for lost, times in ((Fault(drop="after"), 2), (Fault(), 1), (Fault(drop="before"), ALWAYS)):
        sandbox.inject(lost, on="token", times=times)
    with pytest.raises(TokenUnreachableError):
        iris.get("/echo")
    assert asked(iris) - before == AT_MOST
    assert clock.skipped - start <= TOKEN_TIMEOUT
    sandbox.clear_faults()
    recovers(iris, requests=2)


def test_a_long_response_is_read_to_its_limit_only(iris: IrisSession, sandbox: Sandbox) -> None:
    sandbox.inject(Fault(status=404, body="x" * 1_000_000), on="token")
    with pytest.raises(TokenResponseError) as caught:
        iris.get("/echo")
    assert len(caught.value.response.content) == RESPONSE_AT_MOST


def after(error: Exception, *, cause: object = None, context: object = None) -> Exception:
    error.__cause__, error.__context__ = cause, context
    return error


LATE = TimeoutError("late")


@pytest.mark.parametrize(
    ("error", "told", "retryable"),
    [
        (LATE, "TimeoutError: late", True),
        (OSError(errno.EMFILE, "too many"), f"OSError: [Errno {errno.EMFILE}] too many", True),
        (OSError("no such bundle"), "OSError: no such bundle", False),  # requests' own
        (ConnectionError("hush"), "ConnectionError", True),
        (after(ConnectionError("hush"), cause=LATE), "ConnectionError: late", True),
        (after(ConnectionError("hush"), context=LATE), "ConnectionError: late", True),
        (HTTPError("hush"), "HTTPError", True),  # of an adapter that does not translate
        (InvalidProxyURL("hush"), "InvalidProxyURL", False),
    ],
    ids=repr,
)
def test_an_error_passes_on_the_words_of_the_system_and_says_whether_a_retry_helps(
    error: Exception, told: str, retryable: bool
) -> None:
    def send(_: object, timeout: float) -> None:
        assert timeout > 0  # requests refuses a timeout of 0
        raise error

    nobody = Credentials(client_id="c", client_secret="s", username="u", password="p")
    endpoint = TokenEndpoint("https://127.0.0.1:9/token")
    with pytest.raises(TokenUnreachableError) as caught:
        endpoint.password_grant(nobody, ("api",), send, deadline=0)
    assert f" ({told}). " in str(caught.value)
    assert caught.value.retryable is retryable
