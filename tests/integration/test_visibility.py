"""What the life of a token looks like from outside: log lines and counters."""

from __future__ import annotations

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from requests_iris import IrisSession, TokenResponseError
from requests_iris.sandbox import OMIT, Fault, Sandbox
from requests_iris.secret import fingerprint

from ..support.clocks import SkippingClock

#: Seconds after which a thread that still waits is taken for stuck.
STUCK = 30


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="requests_iris")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    """A function: what the logger said since it was asked last, as pairs of level and text."""

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
    """The one line that a new token is told with; the time it took is left open."""
    return (
        rf"new token {fingerprint(iris.access_token)} by the {grant} grant "
        rf"\(the old one: {why}\) in \d+\.\d\d s, valid {valid}"
    )


class TestInfo:
    def the_only_line_is(self, said, pattern: str) -> None:
        ((level, text),) = said()
        assert level == "INFO"
        assert re.fullmatch(pattern, text)

    def test_the_first_sign_in(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "password", "none"))

    @pytest.mark.parametrize(("age", "why"), [(3000, "aging"), (3600, "stale")])
    def test_a_renewal_in_time(self, iris, clock: SkippingClock, said, age, why) -> None:
        iris.get("/echo")
        clock.sleep(age)
        said()
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "refresh_token", why))

    def test_a_renewal_after_a_401(self, iris, sandbox: Sandbox, said) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        said()
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "refresh_token", "rejected"))

    def test_calls_that_ask_for_a_new_token(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        said()
        iris.refresh_token()
        self.the_only_line_is(said, line_of(iris, "refresh_token", "fresh"))
        iris.fetch_token()
        self.the_only_line_is(said, line_of(iris, "password", "fresh"))

    @pytest.mark.parametrize(
        ("says", "valid"), [(120, "for 120 s"), (None, "until it is refused"), (1.5, "for 1.5 s")]
    )
    def test_the_expiry_is_that_of_the_reply(self, iris, sandbox, said, says, valid) -> None:
        sandbox.inject(Fault(expires_in=says), on="token")
        iris.get("/echo")
        self.the_only_line_is(said, line_of(iris, "password", "none", re.escape(valid)))

    def test_how_long_it_took(self, iris, clock: SkippingClock, said) -> None:
        send = iris._send_token_request

        def slow(*args):
            clock.sleep(2.5)
            return send(*args)

        iris._send_token_request = slow
        iris.get("/echo")
        ((_, text),) = said()
        assert 2.5 <= float(re.search(r" in (\S+) s,", text)[1]) < 2.5 + STUCK

    def test_a_refresh_token_that_is_refused(self, iris, sandbox, clock, said) -> None:
        iris.get("/echo")
        old = fingerprint(iris.access_token)
        clock.sleep(3600)
        sandbox.revoke_refresh_tokens()
        said()
        iris.get("/echo")
        refused, new = said()
        assert refused[0] == new[0] == "INFO"
        assert refused[1].startswith(f"the refresh token of token {old} was refused: ")
        assert re.fullmatch(line_of(iris, "password", "stale"), new[1])

    def test_a_fresh_token_is_used_in_silence(self, iris: IrisSession, said) -> None:
        iris.get("/echo")
        said()
        iris.get("/echo")
        assert said() == []


class TestWarning:
    """One for each fault that the caller is not told of."""

    def test_each_try_that_failed(self, iris, sandbox: Sandbox, clock, said) -> None:
        sandbox.inject(Fault(status=503), on="token")
        sandbox.inject(Fault(drop="before"), on="token")
        iris.get("/echo")
        *warnings, (level, _) = said()
        assert level == "INFO"
        assert [level for level, _ in warnings] == ["WARNING"] * 2
        assert re.search(r"answered 503 .*; trying again in 0\.\d s$", warnings[0][1])
        assert re.search(r"not be reached .*; trying again in 1\.\d s$", warnings[1][1])
        said_to_wait = sum(float(re.search(r"in (\S+) s$", text)[1]) for _, text in warnings)
        assert clock.skipped == pytest.approx(said_to_wait, abs=0.2)

    def test_an_early_renewal_that_failed(self, iris, sandbox: Sandbox, clock, said) -> None:
        iris.get("/echo")
        clock.sleep(3000)
        said()
        sandbox.inject(Fault(status=404), on="token")
        iris.get("/echo")
        ((level, text),) = said()
        assert level == "WARNING"
        old = fingerprint(iris.access_token)
        assert text.startswith(
            f"token {old} was not renewed early: the token endpoint answered 404"
        )

    def test_what_the_caller_is_told_of_is_no_warning(self, iris, sandbox: Sandbox, said) -> None:
        sandbox.inject(Fault(status=404), on="token")
        with pytest.raises(TokenResponseError):
            iris.get("/echo")
        assert said() == []

    def test_another_scope_than_the_one_asked_for(self, iris, sandbox: Sandbox, said) -> None:
        """Once, and not again while it stays the same."""
        sandbox.inject(Fault(scope="api"), on="token", times=2)
        iris.fetch_token()
        assert (
            "WARNING",
            "the granted scope is 'api', asked for was 'api offline_access'",
        ) in said()
        iris.fetch_token()
        assert {level for level, _ in said()} == {"INFO"}
        sandbox.inject(Fault(scope="offline_access"), on="token")
        iris.fetch_token()
        assert "WARNING" in {level for level, _ in said()}

    def test_no_order_of_the_words_of_a_scope(self, iris, sandbox: Sandbox, said) -> None:
        sandbox.inject(Fault(scope="offline_access api"), on="token")
        iris.fetch_token()
        assert {level for level, _ in said()} == {"INFO"}

    def test_no_scope_that_nobody_knows(self, iris, sandbox: Sandbox, said) -> None:
        refresh_token = iris.fetch_token()["refresh_token"]
        iris.token = {}
        said()
        sandbox.inject(Fault(reply={"scope": OMIT}), on="token")
        assert "scope" not in iris.refresh_token(refresh_token=refresh_token)
        assert {level for level, _ in said()} == {"INFO"}


class TestCounters:
    def test_all_of_them_begin_at_0(self, iris: IrisSession) -> None:
        names = {"password", "refresh_token", "tokens", "replays", "waits"}
        assert iris.counters == dict.fromkeys(names, 0)

    def test_a_sign_in_and_what_needs_none(self, iris: IrisSession) -> None:
        for _ in range(3):
            iris.get("/echo")
        assert iris.counters == _counted(password=1, tokens=1)

    def test_a_renewal(self, iris: IrisSession, clock: SkippingClock) -> None:
        iris.get("/echo")
        clock.sleep(3600)
        iris.get("/echo")
        assert iris.counters == _counted(password=1, refresh_token=1, tokens=2)

    def test_a_replay(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        assert iris.counters == _counted(password=1, refresh_token=1, tokens=2, replays=1)

    def test_requests_that_brought_no_token_count_as_requests(self, iris, sandbox, clock) -> None:
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

    def test_waits(self, iris: IrisSession) -> None:
        """Of three threads on a cold session, two wait for the one that signs in."""
        send = iris._send_token_request

        def held_back(*args):
            give_up = time.monotonic() + STUCK
            while iris.counters["waits"] < 2:
                assert time.monotonic() < give_up
            return send(*args)

        iris._send_token_request = held_back
        with ThreadPoolExecutor(3) as pool:
            assert all(response.ok for response in pool.map(iris.get, ["/echo"] * 3, timeout=STUCK))
        assert iris.counters == _counted(password=1, tokens=1, waits=2)

    def test_they_are_a_copy(self, iris: IrisSession) -> None:
        iris.counters["tokens"] += 7
        assert iris.counters["tokens"] == 0


def _counted(**counted: int) -> dict[str, int]:
    names = ("password", "refresh_token", "tokens", "replays", "waits")
    return {**dict.fromkeys(names, 0), **counted}
