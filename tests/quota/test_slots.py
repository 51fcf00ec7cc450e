"""When a slot counts, when a request waits, and the result of a request without a slot."""

from __future__ import annotations

import pickle
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from requests_iris import InvalidGrantError, IrisSession, Pool, Quota, QuotaExceededError, RateLimit
from requests_iris.sandbox import Fault, Sandbox

from ..support.leaks import leaks, told_of
from ..support.paths import FLEET, JSON
from ..support.redirects import redirect

#: One request in 1000 s. A second request does not wait for 1000 s.
ONCE = RateLimit("once", 1, 1000, "/echo")
TWICE = RateLimit("twice", 2, 1000, "/")


@pytest.fixture
def limited() -> Any:
    """A sandbox with a rule for waits."""
    with Sandbox(quotas=[RateLimit("slow", 1, 100, "/echo")]) as sandbox:
        yield sandbox


def left(iris: Any, path: str = "/echo") -> int:
    return iris.quota.state(path).remaining


def test_a_request_waits_for_its_slot_and_gets_no_429(session, limited) -> None:
    iris = session(limited, RateLimit("slow", 1, 100, "/echo"), clock=limited.clock)
    assert [iris.get("/echo").status_code for _ in range(3)] == [200] * 3
    assert limited.count("api", 429) == 0
    assert 195 < limited.clock.advanced < 205


def test_a_request_without_a_slot_raises_and_sends_nothing(session, sandbox) -> None:
    iris = session(sandbox, ONCE)
    assert iris.get("/echo").ok
    with pytest.raises(QuotaExceededError) as caught:
        iris.get("/echo")
    error = caught.value
    assert sandbox.count("api") == 1
    assert 990 < error.retry_after <= 1000
    assert error.reset_at.tzinfo is UTC
    assert (error.rule, error.limit, error.remaining) == ("once", 1, 0)
    assert error.response is None
    assert error.retryable
    assert isinstance(error, requests.RequestException)
    again = pickle.loads(pickle.dumps(error))
    assert (again.reset_at, again.rule, again.key) == (error.reset_at, error.rule, error.key)


def test_the_wait_counts_neither_into_the_elapsed_time_nor_into_the_timeout(
    session, sandbox
) -> None:
    iris = session(sandbox, RateLimit("paced", 2, 1, "/echo"), clock=None)
    iris.fetch_token()
    iris.get("/echo")
    start = time.perf_counter()
    response = iris.get("/echo", timeout=0.3)
    assert time.perf_counter() - start > 0.3
    assert response.elapsed.total_seconds() < 0.3


def test_a_request_that_waited_longer_than_its_token_lives_is_signed_again(session) -> None:
    with Sandbox(token_lifetime=60) as sandbox:
        iris = session(sandbox, RateLimit("slow", 1, 100, "/echo"), clock=sandbox.clock)
        assert [iris.get("/echo").history for _ in range(2)] == [[], []]
        assert (sandbox.count("api", 401), len(sandbox.issued)) == (0, 2)


def test_a_wait_that_ends_without_a_token_takes_no_slot(session) -> None:
    with Sandbox(token_lifetime=60) as sandbox:
        limits = [RateLimit("slow", 1, 100, "/echo"), RateLimit("all", 9, 10_000, "/")]
        iris = session(sandbox, limits, clock=sandbox.clock, scope="api")
        iris.get("/echo")
        sandbox.change_password("new")
        with pytest.raises(InvalidGrantError):
            iris.get("/echo")
        assert left(iris, "/other") == 8


def test_a_slot_counts_from_the_response_and_not_from_the_reservation(session, sandbox) -> None:
    class Slow(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Response:
            iris.clock.advance(80)
            return super().send(*args, **kwargs)

    iris = session(sandbox, RateLimit("slow", 1, 100, "/echo"))
    iris.fetch_token()
    iris.mount(sandbox.base_url, Slow())
    iris.get("/echo")
    assert 95 < iris.quota.state("/echo").retry_after <= 100


FAULTS = {
    "a status": (Fault(status=503, body="busy"), 503),
    "a broken body": (Fault(truncate=3), requests.exceptions.ChunkedEncodingError),
    "a dropped connection": (Fault(drop="after"), requests.ConnectionError),
    "a 429": (Fault(status=429, headers={"Retry-After": "5"}), 429),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_retry_without_a_slot_is_not_made(session, sandbox, name) -> None:
    fault, outcome = FAULTS[name]
    iris = session(sandbox, RateLimit("once", 1, 100, "/echo"), max_wait=1)
    sandbox.inject(fault, on="api", times=9)
    if isinstance(outcome, int):
        assert iris.get("/echo").status_code == outcome
    else:
        with pytest.raises(outcome):
            iris.get("/echo")
    assert sandbox.count("api") == 1


def test_a_retry_waits_for_its_slot_and_shortens_its_pause(session, sandbox) -> None:
    iris = session(sandbox, RateLimit("slow", 1, 100, "/echo"))
    sandbox.inject(Fault(status=503, headers={"Retry-After": "90"}), on="api")
    assert iris.get("/echo").ok
    assert 99 < iris.clock.skipped < 105


def test_a_retry_whose_pause_ends_with_an_error_takes_no_slot(session) -> None:
    with Sandbox(token_lifetime=60) as sandbox:
        iris = session(sandbox, RateLimit("all", 9, 10_000, "/"), scope="api", clock=sandbox.clock)
        iris.fetch_token()
        sandbox.change_password("new")
        sandbox.inject(Fault(status=503, headers={"Retry-After": "90"}), on="api")
        with pytest.raises(InvalidGrantError):
            iris.get("/echo")
        assert left(iris) == 8


def test_a_resend_without_a_slot_raises_with_the_401(session, sandbox) -> None:
    iris = session(sandbox, ONCE)
    iris.fetch_token()
    sandbox.expire_access_tokens()
    with pytest.raises(QuotaExceededError) as caught:
        iris.get("/echo")
    assert caught.value.response.status_code == 401
    assert pickle.loads(pickle.dumps(caught.value)).response.status_code == 401
    secrets = [*sandbox.issued, sandbox.refresh_token]
    assert leaks(told_of(caught.value), secrets) == []
    assert sandbox.count("api") == 1
    with pytest.raises(QuotaExceededError) as caught:
        iris.get("/echo")
    assert caught.value.response is None


def test_a_resend_through_the_bearer_without_a_slot_raises_with_the_401(session, sandbox) -> None:
    iris = session(sandbox, ONCE)
    iris.fetch_token()
    sandbox.expire_access_tokens()
    with requests.Session() as plain, pytest.raises(QuotaExceededError) as caught:
        plain.get(f"{sandbox.base_url}/echo", auth=iris.bearer, verify=sandbox.ca_file)
    assert caught.value.response.status_code == 401
    assert sandbox.count("api") == 1


def test_a_hop_of_a_redirect_without_a_slot_raises(session, sandbox) -> None:
    iris = session(sandbox, ONCE)
    iris.get("/echo")
    with pytest.raises(QuotaExceededError):
        iris.get(redirect(sandbox, "/echo"))
    assert sandbox.count("api") == 2


class TestUnsentRequests:
    """A slot is given back only if no byte of the request was sent."""

    @pytest.fixture
    def port(self) -> Any:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            yield taken.getsockname()[1]

    def test_a_refused_connection_or_an_unknown_host_takes_no_slot(
        self, session, sandbox, port
    ) -> None:
        hosts = [f"127.0.0.1:{port}", "no-such-host.invalid"]
        iris = session(sandbox, TWICE, allowed_hosts=hosts, base_url=f"https://{hosts[0]}")
        for host in hosts:
            for method in ("GET", "POST"):
                with pytest.raises(requests.ConnectionError):
                    iris.request(method, f"https://{host}/echo")
            assert left(iris, f"https://{host}/echo") == 2

    def test_a_refused_proxy_or_a_missing_ca_bundle_takes_no_slot(
        self, session, sandbox, port
    ) -> None:
        iris = session(sandbox, TWICE)
        iris.fetch_token()
        with pytest.raises(requests.exceptions.ProxyError):
            iris.get("/echo", proxies={"https": f"http://127.0.0.1:{port}"})
        with pytest.raises(OSError, match="CA certificate"):
            iris.get("/echo", verify="/no/such/file")
        assert left(iris) == 2

    def test_a_failed_handshake_takes_no_slot(self, session, sandbox) -> None:
        iris = session(sandbox, TWICE)
        iris.fetch_token()
        with Sandbox() as other, pytest.raises(requests.exceptions.SSLError):
            iris.get("/echo", verify=other.ca_file)
        assert left(iris) == 2

    def test_a_request_that_gets_no_token_takes_no_slot(self, session, sandbox) -> None:
        iris = session(sandbox, TWICE, password="wrong")
        with pytest.raises(InvalidGrantError):
            iris.get("/echo")
        assert left(iris) == 2

    def test_an_error_after_an_error_of_an_earlier_request_is_judged_alone(
        self, session, sandbox, port
    ) -> None:
        """A call inside an `except` clause has the earlier error as context."""
        iris = session(sandbox, RateLimit("many", 9, 1000, "/"), retry=0)
        iris.fetch_token()
        sandbox.inject(Fault(drop="before"), on="api")
        try:
            iris.get("/echo", proxies={"https": f"http://127.0.0.1:{port}"})
        except requests.ConnectionError:
            with pytest.raises(requests.ConnectionError):
                iris.get("/echo")
        assert left(iris) == 8

    def test_a_request_that_arrived_keeps_its_slot_whatever_happens_then(
        self, session, sandbox
    ) -> None:
        iris = session(sandbox, RateLimit("many", 9, 1000, "/"), retry=0)
        faults = (Fault(drop="before"), Fault(drop="after"), Fault(truncate=3))
        for fault in faults:
            sandbox.inject(fault, on="api")
            with pytest.raises(requests.RequestException):
                iris.get("/echo")
        assert left(iris) == 9 - len(faults)

        def hook(*_: Any, **__: Any) -> None:
            raise KeyError("hook")

        with pytest.raises(KeyError):
            iris.get("/echo", hooks={"response": hook})
        assert left(iris) == 5

    def test_the_bearer_gives_nothing_back(self, session, sandbox, port) -> None:
        iris = session(sandbox, TWICE)
        with requests.Session() as plain, pytest.raises(requests.ConnectionError):
            plain.get(
                f"{sandbox.base_url}/echo",
                auth=iris.bearer,
                proxies={"https": f"http://127.0.0.1:{port}"},
            )
        assert left(iris) == 1


class TestUnforeseen429:
    """A 429 in spite of a slot, because programs without the quota have used slots."""

    @pytest.fixture
    def full(self, sandbox) -> Any:
        def inject(retry_after: str | None = None, times: int = 1) -> None:
            headers = {} if retry_after is None else {"Retry-After": retry_after}
            sandbox.inject(Fault(status=429, headers=headers), on="api", times=times)

        return inject

    def test_a_429_uses_up_the_window_from_now(self, session, sandbox, full) -> None:
        rule = RateLimit("many", 9, 1000, "/echo", pool=Pool(5, 30))
        iris = session(sandbox, rule, pool="always")
        full()
        assert iris.get("/echo").status_code == 429
        state = iris.quota.state("/echo")
        assert (state.remaining, state.pool_remaining) == (0, 0)
        assert 990 < state.retry_after <= 1000
        with pytest.raises(QuotaExceededError):
            iris.get("/echo")
        iris.clock.advance(1001)
        assert iris.get("/echo").ok
        assert sandbox.count("api") == 2

    @pytest.mark.parametrize("style", ["seconds", "date"])
    def test_retry_after_replaces_the_window(self, session, sandbox, full, style) -> None:
        iris = session(sandbox, RateLimit("many", 9, 1000, "/echo"))
        iris.clock.advance(5000)
        moment = iris.clock.time() + 300
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment))
        full("300" if style == "seconds" else date)
        assert iris.get("/echo").status_code == 429
        assert 295 < iris.quota.state("/echo").retry_after <= 300
        iris.clock.advance(301)
        assert iris.get("/echo").ok

    @pytest.mark.parametrize("text", ["-5", "1e1", "soon", "9" * 400])
    def test_a_malformed_retry_after_counts_as_missing(self, session, sandbox, full, text) -> None:
        iris = session(sandbox, RateLimit("many", 9, 1000, "/echo"))
        full(text)
        assert iris.get("/echo").status_code == 429
        assert 990 < iris.quota.state("/echo").retry_after <= 1000

    def test_a_short_retry_after_is_waited_for_once(self, session, sandbox, full) -> None:
        iris = session(sandbox, RateLimit("many", 9, 1000, "/echo"))
        full("30")
        assert iris.get("/echo").ok
        assert 29 < iris.clock.skipped < 33

    def test_a_429_of_a_short_window_is_retried_after_the_window(
        self, session, sandbox, full
    ) -> None:
        iris = session(sandbox, RateLimit("minute", 9, 60, "/echo"))
        full()
        assert iris.get("/echo").ok
        assert 59 < iris.clock.skipped < 63

    @pytest.mark.parametrize("through", ["bearer", "adapter", "resend"])
    def test_a_429_is_noted_on_every_way(self, session, sandbox, full, through) -> None:
        iris = session(sandbox, RateLimit("many", 9, 1000, "/echo"))
        iris.fetch_token()
        if through == "resend":
            sandbox.inject(Fault(status=401, body="{}"), on="api")
        full(times=9)
        if through == "adapter":
            iris.mount(sandbox.base_url, HTTPAdapter())
        if through == "bearer":
            with requests.Session() as plain:
                url = f"{sandbox.base_url}/echo"
                reply = plain.get(url, auth=iris.bearer, verify=sandbox.ca_file)
        else:
            reply = iris.get("/echo")
        assert reply.status_code == 429
        assert left(iris) == 0

    def test_everybody_who_shares_the_store_sees_it(self, session, sandbox, full, tmp_path) -> None:
        place = tmp_path / "quota.db"
        settings = {"quota": str(place), "clock": sandbox.clock}
        first, second = (session(sandbox, **settings) for _ in range(2))
        full()
        assert first.get(f"{FLEET}/1").status_code == 429
        with pytest.raises(QuotaExceededError):
            second.get(f"{FLEET}/1", headers=JSON)
        assert sandbox.count("api") == 1


def test_retries_of_a_callers_own_adapter_are_not_seen(session, sandbox) -> None:
    iris = session(sandbox, TWICE)
    policy = Retry(3, status_forcelist=[503], raise_on_status=False)
    iris.mount(sandbox.base_url, HTTPAdapter(max_retries=policy))
    sandbox.inject(Fault(status=503), on="api", times=3)
    assert iris.get("/echo").ok
    assert (sandbox.count("api"), left(iris)) == (4, 1)


def test_an_adapter_of_the_caller_may_pickle_or_copy_the_request(session, sandbox) -> None:
    class Elsewhere(HTTPAdapter):
        def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
            pickle.loads(pickle.dumps(request))
            return super().send(request.copy(), *args, **kwargs)

    iris = session(sandbox, TWICE)
    iris.mount(sandbox.base_url, Elsewhere())
    response = iris.get("/echo")
    assert pickle.loads(pickle.dumps(response)).ok
    assert left(iris) == 1


def test_threads_get_exactly_the_slot_and_the_pool_of_a_url_and_no_429(session) -> None:
    with Sandbox(quotas=True) as sandbox:
        iris = session(sandbox, pool="always", clock=sandbox.clock)

        def status(_: int) -> int | None:
            try:
                return iris.get(f"{FLEET}/1", headers=JSON).status_code
            except QuotaExceededError:
                return None

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(status, range(80)))
        assert Counter(statuses) == {200: 51, None: 29}
        assert sandbox.count("api") == 51


def test_sessions_with_a_token_only_share_the_slots_of_their_client_or_of_all(sandbox) -> None:
    """Nobody knows the user of a token."""
    with IrisSession(**sandbox.settings) as other:
        other.verify = sandbox.ca_file
        token = other.fetch_token()
    clients = [{"client_id": "one"}, {"client_id": "two"}, {}, {}]
    outcomes = []
    for client in clients:
        quota = Quota("memory", limits=[ONCE])
        settings = {"token": token, "base_url": sandbox.base_url, "quota": quota}
        with IrisSession(**settings, **client) as iris:
            iris.verify = sandbox.ca_file
            outcomes.append(left(iris))
            if outcomes[-1]:
                assert iris.get("/echo").ok
    assert outcomes == [1, 1, 1, 0]


def test_a_session_that_signs_in_as_another_user_takes_the_slots_of_this_user(
    session, sandbox
) -> None:
    iris = session(sandbox, ONCE)
    assert iris.get("/echo").ok
    iris.client_id = "other client"
    assert left(iris) == 0
    iris.fetch_token(client_id=sandbox.settings["client_id"], username=sandbox.settings["username"])
    assert left(iris) == 0


def test_two_users_of_one_store_do_not_disturb_each_other(session, tmp_path) -> None:
    quota = str(tmp_path / "quota.db")
    with Sandbox() as sandbox:
        user = session(sandbox, quota=quota)
        key = session(sandbox, quota=quota)
        key = session(
            sandbox, quota=quota, **{**sandbox.key_settings, "username": None, "password": None}
        )
        for iris in (user, key):
            assert iris.get(f"{FLEET}/1", headers=JSON).ok
            with pytest.raises(QuotaExceededError):
                iris.get(f"{FLEET}/1", headers=JSON)
        assert sandbox.count("api") == 2
