"""Random sequences of events in the life of a token, with checks after each step."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from requests_iris import IrisSession, TokenError
from requests_iris.sandbox import Fault, Sandbox

from ..support.clocks import SkippingClock
from ..support.depth import examples
from ..support.waiting import HUNG

THREADS = 4
#: Token requests that a renewal makes at most.
AT_MOST = 6


@dataclass(frozen=True)
class Trouble:
    """A fault and its effects.

    :ivar tries: how often a grant is tried during the fault; 0 if a token comes nevertheless.
    :ivar lost: whether the server does its work, and only the response is lost.
    """

    fault: Fault
    tries: int
    lost: bool = False


NO_TROUBLE = Trouble(Fault(), tries=0)
TROUBLES = [
    Trouble(Fault(status=500), tries=3),
    Trouble(Fault(drop="before"), tries=3),
    Trouble(Fault(drop="after"), tries=3, lost=True),
    Trouble(Fault(truncate=20), tries=3, lost=True),
    Trouble(Fault(status=404), tries=1),
    Trouble(Fault(status=200, body="[1]"), tries=1),
    Trouble(Fault(expires_in=0), tries=0),
    Trouble(Fault(scope="api"), tries=0),
]


class SameClock(SkippingClock):
    """A pickle of a SameClock is the same object again, in this process."""

    known: ClassVar[dict[int, SameClock]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        self.known[id(self)] = self
        return (_same_clock, (id(self),))


def _same_clock(number: int) -> SameClock:
    return SameClock.known[number]


class Life(RuleBasedStateMachine):
    """A session, its sandbox, and the expected state of the token in the session.

    :ivar good: whether the server accepts it.
    :ivar rejected: whether the session knows of the refusal.
    :ivar paused: whether an early renewal has failed just now.
    :ivar overtaken: whether the server has issued a newer token that never arrived.
    :ivar used_up: the refresh tokens whose use was answered, and the answer arrived.
    """

    #: How long before its end a token is expiring.
    expiring_from = 900

    def account(self) -> dict[str, Any]:
        return self.sandbox.settings

    def __init__(self) -> None:
        super().__init__()
        self.good = self.rejected = self.paused = self.overtaken = False
        self.used_up: set[str] = set()
        self.sandbox = Sandbox(machines=0).start()
        self.clock = SameClock()
        self.iris = IrisSession(**self.account(), clock=self.clock)
        self.iris.verify = self.sandbox.ca_file

    def teardown(self) -> None:
        self.iris.close()
        self.sandbox.close()

    # What can happen.

    @rule()
    def request(self) -> None:
        self._step(lambda: self.iris.get("/echo").ok)

    @rule(trouble=st.sampled_from(TROUBLES), times=st.integers(1, 7))
    def request_in_trouble(self, trouble: Trouble, times: int) -> None:
        self._step(lambda: self.iris.get("/echo").ok, trouble, times)

    @rule()
    def requests_at_once(self) -> None:
        start = threading.Barrier(THREADS, timeout=HUNG)

        def get(_: int) -> bool:
            start.wait()
            return self.iris.get("/echo").ok

        def all_at_once() -> bool:
            with ThreadPoolExecutor(THREADS) as pool:
                return all(pool.map(get, range(THREADS)))

        issued = len(self.sandbox.issued)
        self._step(all_at_once)
        assert len(self.sandbox.issued) - issued <= 1

    @rule()
    def request_elsewhere(self) -> None:
        """Another host needs no token, so the session requests no token."""
        self.sandbox.forget()
        assert self.iris.get(self.sandbox.foreign_url + "/echo").ok
        assert self.sandbox.count("token") == 0
        self._nothing_went_elsewhere()

    @rule()
    def request_that_is_sent_elsewhere(self) -> None:
        there = {"to": self.sandbox.foreign_url + "/echo"}
        self._step(lambda: self.iris.get("/redirect", params=there).ok)
        assert self.sandbox.count("foreign") == 1

    @rule()
    def expire(self) -> None:
        self.pass_time(3600)
        self.sandbox.expire_access_tokens()
        self.good = False

    @rule(seconds=st.sampled_from([40, 1000, 3000]))
    def pass_time(self, seconds: int) -> None:
        self.clock.sleep(seconds)
        self.paused = False

    @rule()
    def revoke(self) -> None:
        self.sandbox.revoke_access_tokens()
        self.good = False

    @rule()
    def revoke_refresh_tokens(self) -> None:
        self.sandbox.revoke_refresh_tokens()

    @rule()
    def go_on_from_a_pickle(self) -> None:
        self.iris.close()
        self.iris = pickle.loads(pickle.dumps(self.iris))
        self.paused = self.rejected = False

    # What must come of it.

    def _step(self, work, trouble: Trouble = NO_TROUBLE, times: int = 1) -> None:
        """Does the work. The work succeeds if a token can be had."""
        age, early = self.age, self.early
        can_succeed = self._can_succeed(trouble, times)
        needs_token = not self.good or early or age == "expired"
        held, issued = self.iris.access_token, len(self.sandbox.issued)
        self.sandbox.forget()
        self.sandbox.inject(trouble.fault, on="token", times=times)
        try:
            succeeded = work()
        except TokenError:
            succeeded = False
        self.sandbox.clear_faults()
        assert succeeded == can_succeed
        assert self.sandbox.max_concurrent_token_requests <= 1
        assert needs_token == (self.sandbox.count("token") > 0)
        assert self.sandbox.count("token") <= AT_MOST * (1 + early)
        assert self.iris.access_token or not held
        self._nothing_went_elsewhere()
        self._no_refresh_token_was_used_again(times if trouble.tries else 0)
        if self.iris.access_token != held:
            self.good, self.rejected, self.overtaken = True, False, False
        else:
            self.rejected |= not succeeded and age != "expired"
            self.paused |= early
            self.overtaken |= trouble.lost and len(self.sandbox.issued) > issued

    @property
    def age(self) -> str:
        token = self.iris.token
        if not token or self.rejected or token["expires_in"] == 0:
            return "expired"
        left = token["expires_at"] - self.clock.time()
        return "fresh" if left > self.expiring_from else "expiring" if left > 60 else "expired"

    @property
    def early(self) -> bool:
        """Whether the next request tries to renew an unexpired token."""
        return self.age == "expiring" and not self.paused

    def _can_succeed(self, trouble: Trouble, times: int) -> bool:
        """With the present token, or with a token that the session gets before its last try.

        A token that is renewed early, in vain, and then rejected, is renewed once more.
        """
        if trouble.tries == 0 or (self.good and self.age != "expired"):
            return True
        return times < trouble.tries * (1 + self.early)

    def _nothing_went_elsewhere(self) -> None:
        for seen in self.sandbox.seen:
            assert seen.server != "foreign" or "Authorization" not in seen.headers

    def _no_refresh_token_was_used_again(self, unanswered: int) -> None:
        """Or the last token request, if the server's response was lost."""
        asked = [seen for seen in self.sandbox.seen if seen.server == "token"]
        for number, seen in enumerate(asked):
            refresh_token = seen.form.get("refresh_token")
            assert refresh_token not in self.used_up
            if refresh_token and number >= unanswered:
                self.used_up.add(refresh_token)

    @invariant()
    def the_token_held_is_the_newest(self) -> None:
        held = self.iris.access_token
        assert held is None or self.overtaken == (held != self.sandbox.issued[-1])


class LifeOfAKey(Life):
    """The same with an API key. Each renewal is a sign-in, and no refresh token is ever sent."""

    expiring_from = 300

    def account(self) -> dict[str, Any]:
        return self.sandbox.key_settings

    @invariant()
    def the_key_is_the_only_credential(self) -> None:
        assert self.sandbox.count("token") == self.sandbox.count("client_credentials")
        assert "refresh_token" not in self.iris.token


TestLife = Life.TestCase
TestLifeOfAKey = LifeOfAKey.TestCase
TestLife.settings = TestLifeOfAKey.settings = settings(
    max_examples=examples(20), stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
