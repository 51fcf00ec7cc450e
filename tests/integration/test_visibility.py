"""A token as a user sees the token: log lines and counters."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from requests_iris import IrisSession, TokenResponseError
from requests_iris.sandbox import OMIT, Fault, Sandbox
from requests_iris.secret import fingerprint

from ..support.adapters import Before
from ..support.clocks import SkippingClock
from ..support.waiting import wait_until

#: Seconds after which a waiting thread counts as stuck.
STUCK = 30


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="requests_iris")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    """A function that returns the log records since its last call, as pairs of level and text."""

    def since_last() -> list[tuple[str, str]]:
        lines = [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == "requests_iris"
        ]
        caplog.clear()
        return lines

    return since_last


def line_of(iris: IrisSession, grant: str, why: str, valid: str = "for 3600 s") -> str:
    """The pattern of the log line for a new token."""
    return (
        rf"New token {fingerprint(iris.access_token)} by the {grant} grant "
        rf"in \d+\.\d\d s \(token before: {why}\), valid {valid}\."
    )


class TestInfo:
    def the_only_line_is(self, said, pattern: str) -> None:
        ((level, text),) = said()
        assert level == "INFO"
        assert re.fullmatch(pattern, text)

    def test_the_first_sign_in_is_logged_once(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "password", "none"))

    @pytest.mark.parametrize(("age", "why"), [(3000, "expiring"), (3600, "expired")])
    def test_a_renewal_is_logged_with_the_age_of_the_token_before(
        self, iris, clock: SkippingClock, said, age, why
    ) -> None:
        iris.get("/echo")
        clock.sleep(age)
        said()
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "refresh_token", why))

    def test_a_renewal_after_a_401_is_logged(self, iris, sandbox: Sandbox, said) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        said()
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "refresh_token", "rejected"))

    def test_fetch_token_and_refresh_token_are_logged(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        said()
        iris.refresh_token()
        self.the_only_line_is(said, line_of(iris, "refresh_token", "fresh"))
        iris.fetch_token()
        self.the_only_line_is(said, line_of(iris, "password", "fresh"))

    @pytest.mark.parametrize(
        ("says", "valid"),
        [(120, "for 120 s"), (None, "until an API rejects the token"), (1.5, "for 1.5 s")],
    )
    def test_the_log_says_how_long_the_token_is_valid(
        self, iris, sandbox, said, says, valid
    ) -> None:
        sandbox.inject(Fault(expires_in=says), on="token")
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "password", "none", re.escape(valid)))

    def test_the_log_says_how_long_a_token_request_took(
        self, iris, clock: SkippingClock, said
    ) -> None:
        iris.mount(iris.auto_refresh_url, Before(lambda: clock.sleep(2.5)))
        iris.get("/echo")
        ((_, text),) = said()
        assert 2.5 <= float(re.search(r" in (\S+) s ", text)[1]) < 2.5 + STUCK

    def test_a_refused_refresh_token_is_logged(self, iris, sandbox, clock, said) -> None:
        iris.get("/echo")
        old = fingerprint(iris.access_token)
        clock.sleep(3600)
        sandbox.revoke_refresh_tokens()
        said()
        iris.get("/echo")
        refused, new = said()
        assert refused[0] == new[0] == "INFO"
        assert refused[1].startswith(f"The refresh token of token {old} was refused: ")
        assert re.fullmatch(line_of(iris, "password", "expired"), new[1])

    def test_a_request_with_a_fresh_token_logs_nothing(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        said()
        iris.get("/echo")
        assert said() == []


class TestWarning:
    """A warning for each fault without an exception."""

    def test_each_failed_try_of_a_token_request_is_a_warning(
        self, iris, sandbox: Sandbox, clock, said
    ) -> None:
        sandbox.inject(Fault(status=503), on="token")
        sandbox.inject(Fault(drop="before"), on="token")
        iris.get("/echo")
        *warnings, (level, _) = said()
        assert level == "INFO"
        assert [level for level, _ in warnings] == ["WARNING"] * 2
        assert re.search(r"answered 503 .* Retrying in 0\.\d s\.$", warnings[0][1])
        assert re.search(r"not be reached .* Retrying in 1\.\d s\.$", warnings[1][1])
        said_to_wait = sum(float(re.search(r"in (\S+) s\.$", text)[1]) for _, text in warnings)
        assert clock.skipped == pytest.approx(said_to_wait, abs=0.2)

    def test_a_failed_early_renewal_is_a_warning(self, iris, sandbox: Sandbox, clock, said) -> None:
        iris.get("/echo")
        clock.sleep(3000)
        said()
        sandbox.inject(Fault(status=404), on="token")
        iris.get("/echo")
        ((level, text),) = said()
        assert level == "WARNING"
        old = fingerprint(iris.access_token)
        assert text.startswith(
            f"Token {old} was not renewed early: The token endpoint answered 404"
        )

    def test_a_fault_that_is_raised_logs_no_warning(self, iris, sandbox: Sandbox, said) -> None:
        sandbox.inject(Fault(status=404), on="token")
        with pytest.raises(TokenResponseError):
            iris.get("/echo")
        assert said() == []

    def test_another_scope_than_the_requested_scope_is_one_warning(
        self, iris, sandbox: Sandbox, said
    ) -> None:
        """Once, and not again while it stays the same."""
        sandbox.inject(Fault(scope="api"), on="token", times=2)
        iris.fetch_token()
        assert (
            "WARNING",
            "The token endpoint granted the scope 'api'. "
            "The session asked for 'api offline_access'.",
        ) in said()
        iris.fetch_token()
        assert {level for level, _ in said()} == {"INFO"}
        sandbox.inject(Fault(scope="offline_access"), on="token")
        iris.fetch_token()
        assert "WARNING" in {level for level, _ in said()}

    def test_another_order_of_the_scope_is_no_warning(self, iris, sandbox: Sandbox, said) -> None:
        sandbox.inject(Fault(scope="offline_access api"), on="token")
        iris.fetch_token()
        assert {level for level, _ in said()} == {"INFO"}

    def test_an_unknown_scope_is_no_warning(self, iris, sandbox: Sandbox, said) -> None:
        refresh_token = iris.fetch_token()["refresh_token"]
        iris.token = {}
        said()
        sandbox.inject(Fault(reply={"scope": OMIT}), on="token")
        assert "scope" not in iris.refresh_token(refresh_token=refresh_token)
        assert {level for level, _ in said()} == {"INFO"}


class TestCounters:
    def test_all_counters_begin_at_0(self, iris: IrisSession) -> None:
        names = set(_counted())
        assert iris.counters == dict.fromkeys(names, 0)

    def test_a_sign_in_counts_once_for_three_requests(self, iris: IrisSession) -> None:
        for _ in range(3):
            iris.get("/echo")
        assert iris.counters == _counted(password=1, tokens=1)

    def test_a_renewal_counts_as_a_refresh_and_a_token(
        self, iris: IrisSession, clock: SkippingClock
    ) -> None:
        iris.get("/echo")
        clock.sleep(3600)
        iris.get("/echo")
        assert iris.counters == _counted(password=1, refresh_token=1, tokens=2)

    def test_a_resend_counts_as_a_replay(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        assert iris.counters == _counted(password=1, refresh_token=1, tokens=2, replays=1)

    def test_failed_token_requests_count_as_token_requests(self, iris, sandbox, clock) -> None:
        sandbox.inject(Fault(status=500), on="token", times=9)
        with pytest.raises(TokenResponseError):
            iris.get("/echo")
        assert iris.counters == _counted(password=3)

    def test_a_refused_refresh_token_counts_and_the_password_after_it(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        sandbox.revoke_refresh_tokens()
        iris.get("/echo")
        assert iris.counters == _counted(password=2, refresh_token=1, tokens=2, replays=1)

    def test_each_thread_that_waits_for_another_threads_sign_in_is_counted(
        self, iris: IrisSession
    ) -> None:
        until_two_wait = partial(wait_until, lambda: iris.counters["waits"] >= 2)
        iris.mount(iris.auto_refresh_url, Before(until_two_wait))
        with ThreadPoolExecutor(3) as pool:
            assert all(response.ok for response in pool.map(iris.get, ["/echo"] * 3, timeout=STUCK))
        assert iris.counters == _counted(password=1, tokens=1, waits=2)

    def test_the_counters_are_a_copy(self, iris: IrisSession) -> None:
        iris.counters["tokens"] += 7
        assert iris.counters["tokens"] == 0


def _counted(**counted: int) -> dict[str, int]:
    names = ("password", "refresh_token", "client_credentials", "tokens", "replays", "waits")
    return {**dict.fromkeys(names, 0), **counted}
