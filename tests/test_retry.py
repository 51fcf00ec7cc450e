"""Which requests are retried, when, and the result."""

from __future__ import annotations

import io
import logging
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests_futures.sessions import FuturesSession
from urllib3.exceptions import MaxRetryError, SSLError
from urllib3.response import HTTPResponse
from urllib3.util import Retry
from urllib3.util.retry import RequestHistory

from requests_iris import IrisSession, SettingError, TokenResponseError
from requests_iris.retry import DEFAULT_RETRY, after_error, after_response, retry_of
from requests_iris.sandbox import Fault, Sandbox

from .support.clocks import SkippingClock
from .support.redirects import redirect, tokens_seen
from .support.waiting import HUNG, wait_until

BUSY = Fault(status=503, body="busy")
#: Seconds of the default pauses, each without its random addition of at most 0.5 seconds.
PAUSES = [0.5, 1, 2, 4]


class RecordingClock(SkippingClock):
    """Skips pauses and keeps their lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.pauses.append(seconds)


@pytest.fixture
def clock() -> RecordingClock:
    """The clock of the sessions `iris` and `session()`."""
    return RecordingClock()


@pytest.fixture
def pauses(clock: RecordingClock) -> list[float]:
    """Seconds of the pauses so far."""
    return clock.pauses


@pytest.fixture
def session(sandbox: Sandbox, clock: RecordingClock) -> Iterator[Callable[..., IrisSession]]:
    """Makes sessions with settings."""
    made = []

    def make(**settings) -> IrisSession:
        session = IrisSession(**{**sandbox.settings, "clock": clock, **settings})
        session.verify = sandbox.ca_file
        made.append(session)
        return session

    yield make
    for each in made:
        each.close()


def no_target() -> tuple[str, None]:
    """The target of a request without a pool."""
    return "/", None


class TestRetriedRequests:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
    def test_idempotent_request_is_retried_after_a_bad_status(
        self, iris, sandbox, pauses, method, status
    ) -> None:
        sandbox.inject(Fault(status=status, body="busy"), on="api", times=4)
        response = iris.request(method, "/echo")
        assert response.status_code == 200
        assert response.history == []
        assert sandbox.count("api", status) == 4
        assert len(pauses) == 4

    @pytest.mark.parametrize("drop", ["before", "after"])
    def test_dropped_connection_is_retried(self, iris, sandbox, pauses, drop) -> None:
        sandbox.inject(Fault(drop=drop), on="api", times=4)
        assert iris.get("/echo").ok
        assert sandbox.count("api") == 5

    def test_body_that_breaks_off_is_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(truncate=5), on="api", times=2)
        assert iris.get("/echo").json()["method"] == "GET"
        assert sandbox.count("api") == 3

    def test_streamed_body_that_breaks_off_is_not_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(truncate=5), on="api")
        response = iris.get("/echo", stream=True)
        assert not response._content_consumed
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = response.content
        assert sandbox.count("api") == 1

    def test_retry_of_a_streamed_call_uses_the_same_connection(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api", times=2)
        with iris.get("/echo", stream=True) as response:
            assert not response._content_consumed
            assert response.json()["method"] == "GET"
        assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 1

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    @pytest.mark.parametrize("fault", [BUSY, Fault(status=429, headers={"Retry-After": "1"})])
    def test_post_is_not_retried_after_a_bad_status(
        self, iris, sandbox, pauses, method, fault
    ) -> None:
        sandbox.inject(fault, on="api")
        assert iris.request(method, "/echo").status_code == fault.status
        assert (sandbox.count("api"), pauses) == (1, [])

    @pytest.mark.parametrize("fault", [Fault(drop="after"), Fault(drop="before")])
    def test_post_is_not_retried_after_a_dropped_connection(
        self, iris, sandbox, pauses, fault
    ) -> None:
        sandbox.inject(fault, on="api")
        with pytest.raises(requests.ConnectionError):
            iris.post("/echo")
        assert (sandbox.count("api"), pauses) == (1, [])

    def test_post_is_not_retried_after_a_body_that_breaks_off(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(truncate=5), on="api")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            iris.post("/echo")
        assert (sandbox.count("api"), pauses) == (1, [])

    @pytest.mark.parametrize("status", [400, 404, 500, 501])
    def test_other_statuses_are_not_retried(self, iris, sandbox, pauses, status) -> None:
        sandbox.inject(Fault(status=status, headers={"Retry-After": "1"}), on="api")
        assert iris.get("/echo").status_code == status
        assert pauses == []

    def test_read_timeout_is_not_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(delay=HUNG), on="api")
        iris.fetch_token()
        with pytest.raises(requests.ReadTimeout):
            iris.get("/echo", timeout=(HUNG, 0.2))
        wait_until(lambda: sandbox.count("api") > 0)
        assert (sandbox.count("api"), pauses) == (1, [])

    def test_read_timeout_in_the_middle_of_a_body_is_not_retried(
        self, iris, sandbox, pauses
    ) -> None:
        sandbox.inject(Fault(trickle=HUNG), on="api")
        iris.fetch_token()
        # on a slow machine the timeout may come before the body begins
        with pytest.raises((requests.ConnectionError, requests.ReadTimeout), match="timed out"):
            iris.get("/echo", timeout=(HUNG, 0.2))
        wait_until(lambda: sandbox.count("api") > 0)
        assert (sandbox.count("api"), pauses) == (1, [])

    def test_wrong_certificate_is_not_retried(self, iris, sandbox, pauses, tmp_path) -> None:
        iris.fetch_token()
        with Sandbox() as other, pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE"):
            iris.get("/echo", verify=other.ca_file)
        assert pauses == []

    def test_other_hosts_are_not_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="foreign")
        assert iris.get(f"{sandbox.foreign_url}/echo").status_code == 503
        sandbox.inject(Fault(drop="before"), on="foreign")
        with pytest.raises(requests.ConnectionError):
            iris.get(f"{sandbox.foreign_url}/echo")
        assert (sandbox.count("foreign"), pauses) == (2, [])

    def test_token_host_is_not_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="token")
        assert iris.get(sandbox.token_url).status_code == 503
        assert pauses == []

    def test_retry_keeps_the_authentication_of_the_caller(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api")
        assert iris.get("/echo", auth=("me", "mine")).status_code == 401
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="] * 2


class TestFailedConnections:
    """A request of any method is retried if no connection could be opened."""

    @pytest.fixture
    def port(self) -> Iterator[int]:
        """A port that refuses connections: a socket holds the port and does not listen."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            yield taken.getsockname()[1]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_refused_connection_is_retried_for_any_method(
        self, session, pauses, port, method
    ) -> None:
        iris = session(base_url=f"https://127.0.0.1:{port}")
        with pytest.raises(requests.ConnectionError, match="refused"):
            iris.request(method, "/echo")
        assert len(pauses) == 4

    def test_refused_connection_to_a_proxy_is_retried(self, session, pauses, port) -> None:
        iris = session()
        iris.fetch_token()
        with pytest.raises(requests.exceptions.ProxyError):
            iris.post("/echo", proxies={"https": f"http://127.0.0.1:{port}"})
        assert len(pauses) == 4

    def test_connection_dropped_in_the_tls_handshake_is_retried(self, session) -> None:
        accepted = []
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(10)

        def accept() -> None:
            for _ in range(5):
                connection, _address = server.accept()
                accepted.append(connection.recv(4096))
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        iris = session(base_url=f"https://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(requests.ConnectionError):
            iris.get("/echo")
        thread.join()
        server.close()
        assert len(accepted) == 5

    def test_post_dropped_by_the_tls_layer_is_not_retried(self, session) -> None:
        """The request may have arrived."""
        dropped = MaxRetryError(None, "/", SSLError(ssl.SSLEOFError("EOF")))
        error = requests.exceptions.SSLError(dropped)
        assert after_error(DEFAULT_RETRY, "POST", error, no_target) is None
        assert after_error(DEFAULT_RETRY, "GET", error, no_target) is not None


class TestNumberOfRetries:
    def test_last_response_is_returned_after_the_last_retry(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(status=503, body="busy"), on="api", times=4)
        sandbox.inject(Fault(status=502, body="last"), on="api")
        response = iris.get("/echo")
        assert (response.status_code, response.text) == (502, "last")
        assert response.history == []
        assert sandbox.count("api") == 5

    def test_error_after_the_last_retry_is_the_error_of_requests(
        self, iris, sandbox, pauses
    ) -> None:
        sandbox.inject(Fault(drop="before"), on="api", times=9)
        with pytest.raises(requests.ConnectionError) as caught:
            iris.get("/echo")
        assert type(caught.value) is requests.ConnectionError
        assert caught.value.request.url == f"{sandbox.base_url}/echo"
        assert pickle.loads(pickle.dumps(caught.value)).request.hooks == {"response": []}
        assert sandbox.count("api") == 5

    def test_error_after_the_last_retry_is_the_error_of_the_first_attempt(
        self, iris, sandbox, pauses
    ) -> None:
        sandbox.inject(Fault(drop="before"), on="api")
        sandbox.inject(Fault(status=200, body=b"whole", truncate=2), on="api", times=4)
        with pytest.raises(requests.ConnectionError) as caught:
            iris.get("/echo")
        assert isinstance(caught.value.__context__, requests.exceptions.ChunkedEncodingError)

    @pytest.mark.parametrize(
        ("retry", "sent"),
        [
            (0, 1),
            (False, 1),
            (Retry(0), 1),
            (Retry(False), 1),
            (2, 3),
            (None, 5),
            (True, 5),
            (Retry(total=3, status_forcelist=[503]), 4),
            (Retry(total=None, status=1, status_forcelist=[503]), 2),
            (Retry(total=3, status_forcelist=[500]), 1),
            (Retry(total=3, status_forcelist=[503], allowed_methods=["POST"]), 1),
        ],
    )
    def test_number_of_attempts_follows_the_setting_retry(
        self, session, sandbox, retry, sent
    ) -> None:
        iris = session(retry=retry)
        sandbox.inject(BUSY, on="api", times=9)
        assert iris.get("/echo").status_code == 503
        assert sandbox.count("api") == sent

    def test_session_without_retries_behaves_as_requests(self, session, sandbox) -> None:
        iris = session(retry=0)
        for fault in (Fault(drop="before"), Fault(truncate=5)):
            sandbox.inject(fault, on="api")
            with pytest.raises(requests.RequestException):
                iris.get("/echo")
        assert sandbox.count("api") == 2
        consumed = []
        hook = {"response": lambda response, **_: consumed.append(response._content_consumed)}
        iris.get("/echo", hooks=hook)
        assert consumed == [False]

    @pytest.mark.parametrize("retry", [-1, "3", 2.5, [429]])
    def test_bad_settings_of_retry_raise_a_setting_error(self, retry) -> None:
        with pytest.raises(SettingError, match="retry") as caught:
            IrisSession(retry=retry)
        assert caught.value.setting == "retry"

    def test_raw_retries_history_lists_the_retries_as_in_urllib3(
        self, iris, sandbox, pauses
    ) -> None:
        sandbox.inject(BUSY, on="api", times=2)
        response = iris.get("/echo")
        assert [each.status for each in response.raw.retries.history] == [503, 503]
        assert iris.get("/echo").raw.retries.history == ()
        assert pickle.loads(pickle.dumps(response)).json() == response.json()


def test_retry_over_the_adapter_of_another_session_keeps_the_own_token(iris, sandbox) -> None:
    iris.fetch_token()
    with IrisSession(**sandbox.settings) as other:
        other.verify = sandbox.ca_file
        other.mount("https://", iris.adapters["https://"])
        sandbox.inject(BUSY, on="api")
        sent = other.get("/echo").request.headers["Authorization"]
        assert sent == f"Bearer {other.access_token}"


def test_retry_keeps_a_header_that_the_caller_set_over_a_token(iris, sandbox) -> None:
    request = iris.get("/echo").request
    request.headers["Authorization"] = "Basic bWU6bWluZQ=="
    sandbox.forget()
    sandbox.inject(BUSY, on="api")
    assert iris.send(request).status_code == 401
    assert [seen.headers["Authorization"] for seen in sandbox.seen] == ["Basic bWU6bWluZQ=="] * 2


class TestPauses:
    def test_pauses_double_and_have_a_random_addition(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api", times=4)
        iris.get("/echo")
        for pause, least in zip(pauses, PAUSES, strict=True):
            assert least <= pause <= least + 0.5
        assert [pause % 0.5 for pause in pauses] != [0] * 4

    def test_pauses_follow_a_retry_of_urllib3(self, session, sandbox, pauses) -> None:
        iris = session(retry=Retry(3, status_forcelist=[503], backoff_factor=7, backoff_max=20))
        sandbox.inject(BUSY, on="api", times=3)
        assert iris.get("/echo").ok
        assert pauses == [0, 14, 20]

    def test_pause_is_the_one_that_a_policy_reads_from_retry_after(
        self, session, sandbox, pauses
    ) -> None:
        class Hasty(Retry):
            def get_retry_after(self, response) -> float:
                return min(super().get_retry_after(response), response.status / 100)

        iris = session(retry=Hasty(1, status_forcelist=[503]))
        sandbox.inject(Fault(status=503, headers={"Retry-After": "60"}), on="api")
        assert iris.get("/echo").ok
        assert pauses == [5.03]

    def test_pause_follows_retry_after_in_seconds_or_as_a_date(self, iris, sandbox, pauses) -> None:
        sandbox.inject(Fault(status=429, headers={"Retry-After": "90"}), on="api")
        in_an_hour = datetime.now(UTC) + timedelta(seconds=60)
        date = format_datetime(in_an_hour, usegmt=True)
        sandbox.inject(Fault(status=503, headers={"Retry-After": date}), on="api")
        assert iris.get("/echo").ok
        assert 90 < pauses[0] <= 90.5
        assert 55 <= pauses[1] <= 60.5

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_pause_of_retry_after_is_long_enough_for_the_sandbox(
        self, session, sandbox, form
    ) -> None:
        sandbox.limit("/echo", requests=1, per=1, retry_after=form)
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").ok
            assert iris.get("/echo").ok
        assert sandbox.count("api", 429) == 1

    @pytest.mark.parametrize(
        "asked",
        ["121", "99999999999999999999", "Fri, 31 Dec 2999 23:59:59 GMT"],
    )
    def test_retry_after_beyond_two_minutes_returns_the_response(
        self, iris, sandbox, pauses, asked
    ) -> None:
        sandbox.inject(Fault(status=429, body="later", headers={"Retry-After": asked}), on="api")
        response = iris.get("/echo")
        assert (response.status_code, response.text) == (429, "later")
        assert response.headers["Retry-After"] == asked
        assert (sandbox.count("api"), pauses) == (1, [])

    def test_backoff_max_changes_the_longest_retry_after(self, session, sandbox, pauses) -> None:
        iris = session(retry=DEFAULT_RETRY.new(backoff_max=600))
        sandbox.inject(Fault(status=429, headers={"Retry-After": "600"}), on="api")
        assert iris.get("/echo").ok
        assert 600 <= pauses[0] <= 600.5

    @pytest.mark.parametrize(
        "asked",
        [
            *("soon", "", "0", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"),
            *("Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Dec 99999999999 23:59:59 GMT"),
            pytest.param("9" * 5000, id="more digits than Python reads"),
        ],
    )
    def test_retry_after_without_meaning_leaves_the_usual_pause(
        self, iris, sandbox, pauses, asked
    ) -> None:
        sandbox.inject(Fault(status=503, headers={"Retry-After": asked}), on="api")
        assert iris.get("/echo").ok
        assert 0.5 <= pauses[0] <= 1

    def test_policy_can_ignore_retry_after(self, session, sandbox, pauses) -> None:
        settings = {"status_forcelist": [503], "respect_retry_after_header": False}
        iris = session(retry=Retry(2, **settings))
        sandbox.inject(Fault(status=503, headers={"Retry-After": "500"}), on="api")
        assert iris.get("/echo").ok
        assert pauses == [0]

    def test_each_retry_is_logged_without_the_query(self, iris, sandbox, pauses, caplog) -> None:
        iris.fetch_token()
        sandbox.inject(Fault(status=429, headers={"Retry-After": "7"}), on="api")
        sandbox.inject(Fault(drop="before"), on="api")
        iris.get("/echo#s3cret", params={"name": "s3cret"})
        lines = [r for r in caplog.records if r.name == "requests_iris"]
        assert [r.levelno for r in lines] == [logging.WARNING] * 2
        url = f"{sandbox.base_url}/echo"
        assert lines[0].getMessage() == (
            f"GET {url} got status 429; retry 1 after {pauses[0]:.1f} s"
        )
        assert lines[1].getMessage() == (
            f"GET {url} failed with ConnectionError (ProtocolError); "
            f"retry 2 after {pauses[1]:.1f} s"
        )


class TestTokens:
    def test_retry_after_a_long_pause_carries_a_new_token(self, iris, sandbox, pauses) -> None:
        sandbox.token_lifetime = 60
        sandbox.inject(Fault(status=503, headers={"Retry-After": "100"}), on="api")
        response = iris.get("/echo")
        first, second = sandbox.issued
        assert tokens_seen(sandbox, "api") == [f"Bearer {first}", f"Bearer {second}"]
        assert response.request.headers["Authorization"] == f"Bearer {second}"
        assert response.history == []

    def test_retry_after_a_short_pause_carries_the_same_token(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api")
        assert iris.get("/echo").ok
        assert tokens_seen(sandbox, "api") == [f"Bearer {sandbox.issued[-1]}"] * 2
        assert sandbox.count("token") == 1

    def test_retry_keeps_the_token_of_another_session(self, iris, session, sandbox, pauses) -> None:
        other = session()
        iris.fetch_token()
        sandbox.inject(BUSY, on="api")
        assert iris.get("/echo", auth=other.bearer).ok
        assert tokens_seen(sandbox, "api") == [f"Bearer {sandbox.issued[-1]}"] * 2
        assert iris.access_token != sandbox.issued[-1]

    def test_prepared_request_of_the_caller_stays_unsigned(self, iris, sandbox, pauses) -> None:
        prepared = requests.Request("GET", f"{sandbox.base_url}/echo").prepare()
        sandbox.inject(BUSY, on="api")
        assert iris.send(prepared).ok
        assert "Authorization" not in prepared.headers

    def test_401_after_a_retry_is_resent(self, iris, sandbox, pauses) -> None:
        iris.fetch_token()
        sandbox.inject(BUSY, on="api")
        sandbox.inject(Fault(status=401, body="{}"), on="api")
        sandbox.inject(BUSY, on="api")
        response = iris.get("/echo")
        assert response.ok
        assert [each.status_code for each in response.history] == [401]
        assert sandbox.count("api") == 4


class TestBodies:
    @pytest.mark.parametrize("fault", [BUSY, Fault(drop="after")])
    def test_retry_sends_a_file_from_its_first_position(self, iris, sandbox, pauses, fault) -> None:
        file = io.BytesIO(b"skip,body")
        file.seek(5)
        sandbox.inject(fault, on="api", times=2)
        assert iris.put("/echo", data=file).json()["size"] == 4
        bodies = [seen.body for seen in sandbox.seen if seen.server == "api"]
        assert bodies == [b"body"] * 3

    def test_body_that_cannot_be_rewound_is_not_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api")
        assert iris.put("/echo", data=(piece for piece in [b"a", b"b"])).status_code == 503
        sandbox.inject(Fault(drop="after"), on="api")
        with pytest.raises(requests.ConnectionError):
            iris.put("/echo", data=(piece for piece in [b"a", b"b"]))
        assert (sandbox.count("api"), pauses) == (2, [])


class TestCallsDeclaredIdempotent:
    @pytest.mark.parametrize("fault", [BUSY, Fault(drop="after"), Fault(truncate=3)])
    def test_post_declared_idempotent_is_retried(self, iris, sandbox, pauses, fault) -> None:
        sandbox.inject(fault, on="api", times=2)
        assert iris.post("/echo", json={"a": 1}, idempotent=True).json()["method"] == "POST"
        assert len({seen.body for seen in sandbox.seen if seen.server == "api"}) == 1
        assert sandbox.count("api") == 3

    def test_post_declared_idempotent_is_retried_by_a_policy_for_get(
        self, session, sandbox
    ) -> None:
        iris = session(retry=Retry(2, status_forcelist=[503], allowed_methods=["GET"]))
        sandbox.inject(BUSY, on="api")
        assert iris.post("/echo", idempotent=True).ok

    def test_each_hop_of_a_post_declared_idempotent_is_retried(self, iris, sandbox, pauses) -> None:
        sandbox.inject(BUSY, on="api", path="/echo")
        url = redirect(sandbox, "/echo", status=307)
        assert iris.post(url, data=b"body", idempotent=True).json()["size"] == 4

    def test_only_the_call_declared_idempotent_is_retried(self, iris, sandbox, pauses) -> None:
        def hook(response: requests.Response, **_: object) -> None:
            if response.request.body == b"outer":
                sandbox.inject(BUSY, on="api")
                inner.append(iris.post("/echo", data=b"inner").status_code)

        inner: list[int] = []
        assert iris.post("/echo", data=b"outer", idempotent=True, hooks={"response": hook}).ok
        assert inner == [503]
        with pytest.raises(requests.exceptions.MissingSchema):
            iris.post("x", idempotent=True)
        prepared = requests.Request("POST", f"{sandbox.base_url}/echo").prepare()
        sandbox.inject(BUSY, on="api")
        assert iris.send(prepared).status_code == 503
        sandbox.inject(BUSY, on="api")
        assert iris.post("/echo").status_code == 503

    def test_post_declared_idempotent_is_retried_in_a_thread_of_requests_futures(
        self, iris, sandbox, pauses
    ) -> None:
        with FuturesSession(session=iris) as futures:
            sandbox.inject(BUSY, on="api")
            assert futures.post(f"{sandbox.base_url}/echo", idempotent=True).result().ok


def test_default_policy_keeps_its_class_when_it_changes() -> None:
    once = retry_of(3).increment("GET").new(total=7)
    assert (type(once), once.get_backoff_time() >= 0.5) == (type(DEFAULT_RETRY), True)
    assert DEFAULT_RETRY.total == 4


def test_error_without_a_cause_is_not_retried() -> None:
    """For example the error of a mock."""
    assert after_error(DEFAULT_RETRY, "GET", requests.ConnectionError(), no_target) is None


def test_status_forcelist_may_hold_a_good_status() -> None:
    response = requests.Response()
    response.status_code = 202
    response.raw = None
    assert after_response(Retry(1, status_forcelist=[202]), "GET", response, no_target) is not None
    assert after_response(Retry(1, status_forcelist=[503]), "GET", response, no_target) is None


@pytest.mark.parametrize("retries", [20, 2000])
@pytest.mark.parametrize("policy", [DEFAULT_RETRY, Retry(backoff_factor=0.5, backoff_max=120)])
def test_pause_after_thousands_of_retries_is_backoff_max(policy, retries) -> None:
    """After a thousand doublings a pause is larger than any float."""
    response = requests.Response()
    response.status_code = 503
    response.raw = HTTPResponse(status=503)
    outage = (RequestHistory("GET", None, None, 503, None),) * retries
    policy = policy.new(total=10_000, status_forcelist=[503], history=outage)
    next_try = after_response(policy, "GET", response, no_target)
    assert next_try is not None
    assert next_try.wait == 120


@pytest.mark.parametrize("path", ["/token", "/%74oken"])
def test_token_request_is_not_retried_by_the_adapter_too(sandbox: Sandbox, path: str) -> None:
    """The token endpoint may be on an API host, with a different spelling of the URL."""
    hosts = [url.removesuffix("/token") for url in (sandbox.base_url, sandbox.token_url)]
    settings = {**sandbox.settings, "token_url": hosts[1] + path}
    sandbox.inject(Fault(status=503), on="token", times=1000)
    with IrisSession(**settings, allowed_hosts=hosts, clock=SkippingClock()) as iris:
        iris.verify = sandbox.ca_file
        with pytest.raises(TokenResponseError):
            list(iris.items("/api/asset/v1/assets"))
    assert sandbox.count("token") == 3


class Told(Retry):
    """A policy that records its calls and pauses for no time."""

    calls: ClassVar[list[tuple]] = []

    def note(self, name: str, arguments: tuple, named: dict) -> None:
        shown = [each if isinstance(each, (str, int)) else type(each) for each in arguments]
        named = {
            key: each if isinstance(each, (str, int)) else type(each) for key, each in named.items()
        }
        self.calls.append((name, shown, named, len(self.history)))

    def is_retry(self, *arguments, **named):
        self.note("is_retry", arguments, named)
        return super().is_retry(*arguments, **named)

    def increment(self, *arguments, **named):
        self.note("increment", arguments, named)
        return super().increment(*arguments, **named)

    def get_retry_after(self, *arguments, **named):
        self.note("get_retry_after", arguments, named)
        return super().get_retry_after(*arguments, **named)

    def get_backoff_time(self, *arguments, **named):
        self.note("get_backoff_time", arguments, named)
        return super().get_backoff_time(*arguments, **named)


class ToldAll(Told):
    def sleep(self, *arguments, **named):
        self.note("sleep", arguments, named)
        return super().sleep(*arguments, **named)

    def sleep_for_retry(self, *arguments, **named):
        self.note("sleep_for_retry", arguments, named)
        return bool(self.get_retry_after(*arguments))

    def _sleep_backoff(self, *arguments, **named):
        self.note("_sleep_backoff", arguments, named)
        self.get_backoff_time()


class TestPoliciesOfUsers:
    """A policy gets the same calls as from urllib3 in a plain session."""

    @pytest.fixture
    def told(self, session, sandbox) -> Callable[..., list[tuple[Any, list]]]:
        """The results and the calls of a policy, in a plain session and in an IrisSession."""

        def run(one: requests.Session, method: str, path: str, faults: list[Fault]) -> tuple:
            for fault in faults:
                sandbox.inject(fault, on="api")
            Told.calls.clear()
            try:
                response = one.request(method, sandbox.base_url + path)
            except requests.RequestException as error:
                return type(error), list(Told.calls)
            history = response.raw.retries.history
            shown = [(each.method, each.url, type(each.error), each.status) for each in history]
            return (response.status_code, response.raw.url, shown), list(Told.calls)

        def told(policy: Retry, method: str, path: str, faults: list[Fault]) -> list[tuple]:
            plain, token = requests.Session(), session().fetch_token()
            plain.verify = sandbox.ca_file
            plain.mount("https://", HTTPAdapter(max_retries=policy))
            plain.headers["Authorization"] = f"Bearer {token['access_token']}"
            ours = session(retry=policy, token=token)
            return [run(each, method, path, faults) for each in (plain, ours)]

        return told

    @pytest.mark.parametrize("path", ["/echo", "/echo?a=1&b=%2F", "/echo/%7Euser/%c3%a9"])
    @pytest.mark.parametrize("policy", [Told, ToldAll])
    def test_policy_gets_the_calls_of_urllib3_after_a_status(self, told, policy, path) -> None:
        settings = {"status_forcelist": [503], "raise_on_status": False, "backoff_factor": 0.001}
        plain, ours = told(policy(3, **settings), "GET", path, [BUSY, BUSY])
        if policy is Told:  # the adapter asks for the length of a pause in a different order
            plain, ours = ((each[0], without_pauses(each[1])) for each in (plain, ours))
        assert ours == plain
        assert [call[0] for call in ours[1]].count("increment") == 2
        assert ours[0][0] in (200, 404)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_policy_gets_the_calls_of_urllib3_after_a_dropped_connection(
        self, told, method
    ) -> None:
        plain, ours = told(ToldAll(3), method, "/echo", [Fault(drop="before")])
        assert ours == plain
        assert "increment" in [call[0] for call in ours[1]]

    def test_policy_gets_the_calls_of_urllib3_after_retry_after(self, told) -> None:
        """The policy may pause longer than the adapter would."""
        fault = Fault(status=503, headers={"Retry-After": "5000"})
        plain, ours = told(ToldAll(3), "GET", "/echo", [fault])
        assert ours == plain
        assert ours[0][0] == 200

    def test_policy_gets_the_calls_of_urllib3_until_the_last_retry(self, told) -> None:
        policy = ToldAll(2, status_forcelist=[503], raise_on_status=False)
        plain, ours = told(policy, "GET", "/echo", [BUSY] * 3)
        assert ours == plain
        assert ours[0][0] == 503

    def test_policy_gets_the_calls_of_urllib3_after_a_refused_connection(self, session) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{taken.getsockname()[1]}"
            plain, calls = requests.Session(), []
            plain.mount("https://", HTTPAdapter(max_retries=ToldAll(2)))
            token = {"access_token": "saved"}
            for one in (plain, session(retry=ToldAll(2), base_url=url, token=token)):
                Told.calls.clear()
                with pytest.raises(requests.ConnectionError, match="refused"):
                    one.post(f"{url}/echo?x=y")
                calls.append(list(Told.calls))
        assert calls[1] == calls[0]
        assert [call[0] for call in calls[1]].count("increment") == 3

    def test_policy_is_told_the_path_with_its_query(self, session, sandbox) -> None:
        class Printing(Retry):
            def increment(self, method, url, *a, **k):
                told.append((method, url))
                return super().increment(method, url, *a, **k)

        told: list[tuple[str, str]] = []
        iris = session(retry=Printing(2, status_forcelist=[503]))
        sandbox.inject(BUSY, on="api", times=2)
        assert iris.get("/echo", params={"a": "b"}).ok
        assert told == [("GET", "/echo?a=b")] * 2

    def test_backoff_of_a_policy_is_waited_for_on_the_clock(self, session, sandbox, pauses) -> None:
        class Linear(Retry):
            def get_backoff_time(self) -> float:
                return 100.0 * len(self.history)

        iris = session(retry=Linear(3, status_forcelist=[503]))
        sandbox.inject(BUSY, on="api", times=3)
        assert iris.get("/echo").ok
        assert pauses == [100, 200, 300]

    @pytest.mark.parametrize("name", ["sleep", "_sleep_backoff"])
    def test_pause_of_a_policy_replaces_the_clock(self, session, sandbox, pauses, name) -> None:
        own: list[object] = []
        policy = type("Sleepy", (Retry,), {name: lambda *arguments: own.append(arguments)})
        iris = session(retry=policy(3, status_forcelist=[503], backoff_factor=1000))
        sandbox.inject(BUSY, on="api", times=2)
        assert iris.get("/echo").ok
        assert (len(own), pauses) == (2, [])

    def test_sleep_for_retry_of_a_policy_replaces_the_clock(self, session, sandbox, pauses) -> None:
        class Sleepy(Retry):
            def sleep_for_retry(self, response) -> bool:
                own.append(response.headers["Retry-After"])
                return True

        own: list[str] = []
        iris = session(retry=Sleepy(3, status_forcelist=[503], backoff_factor=1000))
        sandbox.inject(Fault(status=503, headers={"Retry-After": "7"}), on="api")
        assert iris.get("/echo").ok
        assert (own, pauses) == (["7"], [])

    def test_sleep_that_a_program_replaced_for_all_policies_is_used(
        self, session, sandbox, pauses, monkeypatch
    ) -> None:
        own: list[object] = []
        monkeypatch.setattr(Retry, "sleep", lambda _, response=None: own.append(response))
        iris = session()
        sandbox.inject(Fault(drop="before"), on="api")
        sandbox.inject(BUSY, on="api")
        assert iris.get("/echo").ok
        assert [getattr(each, "status", None) for each in own] == [None, 503]
        assert pauses == []

    def test_policy_decides_which_status_is_retried(self, session, sandbox) -> None:
        class Also500(Retry):
            def is_retry(self, method, status_code, has_retry_after=False) -> bool:
                return status_code == 500 or super().is_retry(method, status_code, has_retry_after)

        iris = session(retry=Also500(2))
        sandbox.inject(Fault(status=500), on="api")
        assert iris.post("/echo").ok

    def test_policy_with_arguments_of_its_own_keeps_them(self, session, sandbox) -> None:
        class Labelled(Retry):
            def __init__(self, *arguments, label: str, **named) -> None:
                super().__init__(*arguments, **named)
                self.label = label

            def new(self, **changes):
                return super().new(label=self.label, **changes)

        iris = session(retry=Labelled(2, label="mine", status_forcelist=[503]))
        sandbox.inject(BUSY, on="api", times=2)
        response = iris.post("/echo", idempotent=True)
        assert response.raw.retries.label == "mine"
        assert len(response.raw.retries.history) == 2

    def test_exception_of_a_policy_reaches_the_caller(self, session, sandbox) -> None:
        class Stopping(Retry):
            def increment(self, *_, **__):
                raise KeyError("stop")

        iris = session(retry=Stopping(2, status_forcelist=[503]))
        sandbox.inject(BUSY, on="api")
        with pytest.raises(KeyError, match="stop"):
            iris.get("/echo")


def without_pauses(calls: list[tuple]) -> list[tuple]:
    return [call for call in calls if call[0] in ("is_retry", "increment")]
