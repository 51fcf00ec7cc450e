"""Requests, responses, blocks and jumps of time in any order, against a simple model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from requests_iris import Clock, QuotaExceededError
from requests_iris.quota import Pool, Quota, RateLimit

from ..support.depth import examples

LIMIT, WINDOW, SIZE, DAYS, MAX_WAIT = 2, 1000.0, 3, 1, 10.0
RULE = RateLimit("r", LIMIT, WINDOW, "/", pool=Pool(SIZE, DAYS))
GRACE = 60.0


class StillClock(Clock):
    """A clock that only a test or a pause moves, in whole seconds: the model needs exact times."""

    now = 0

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return float(self.now)

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds)


@dataclass(eq=False)
class Slot:
    """When a request left, and when its response came."""

    begin: float
    end: float | None = None


class Model:
    """The slots as the design describes them: the time of the response, or None before it."""

    def __init__(self) -> None:
        self.window: list[Slot] = []
        self.pool: list[Slot] = []
        self.closed = float("-inf")

    @staticmethod
    def used(slots: list[Slot], lasts: float, now: float) -> list[float]:
        """Seconds until each slot is back."""
        ages = [
            min(slot.end if slot.end is not None else slot.begin + GRACE, now) for slot in slots
        ]
        return sorted(lasts - (now - each) for each in ages if now - each < lasts)

    def wait(self, now: float) -> float:
        if self.closed > now:
            return self.closed - now
        back = self.used(self.window, WINDOW, now)
        return back[len(back) - LIMIT] if len(back) >= LIMIT else 0.0

    def pool_left(self, now: float) -> int:
        return SIZE - len(self.used(self.pool, DAYS * 86400, now)) if self.closed <= now else 0


class Requests(RuleBasedStateMachine):
    """The same requests to a Quota in a file and a Quota in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "q.db"
        self.quotas = [Quota(place, [RULE], MAX_WAIT) for place in (path, "memory")]
        self.clocks = [StillClock() for _ in self.quotas]
        self.url = f"https://{uuid4().hex}.example/"
        self.model = Model()
        self.open: list[tuple[Slot, list]] = []

    def teardown(self) -> None:
        self.quotas.clear()
        self.open.clear()
        self.directory.cleanup()

    @property
    def now(self) -> float:
        return self.clocks[0].now

    def attempt(self, index: int, in_walk: bool) -> object:
        try:
            return self.quotas[index].reserve(
                "user:alice", "GET", self.url, in_walk=in_walk, clock=self.clocks[index]
            )
        except QuotaExceededError as error:
            return error

    @rule(in_walk=st.booleans())
    def send(self, in_walk: bool) -> None:
        now, wait = self.now, self.model.wait(self.now)
        found = [self.attempt(index, in_walk) for index in range(2)]
        pooled = wait > MAX_WAIT and in_walk and self.model.pool_left(now) > 0
        if wait > MAX_WAIT and not pooled:
            for error in found:
                assert isinstance(error, QuotaExceededError), "the model refuses this request"
                assert error.retry_after == wait
            return
        for reservation in found:
            assert not isinstance(reservation, QuotaExceededError), "the model grants this request"
            assert reservation.waited == (0 if pooled else wait)
        slot = Slot(self.now)
        (self.model.pool if pooled else self.model.window).append(slot)
        self.open.append((slot, found))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), given_back=st.booleans())
    def end(self, which: int, given_back: bool) -> None:
        slot, reservations = self.open.pop(which % len(self.open))
        for each in reservations:
            each.give_back() if given_back else each.settle()
        for slots, lasts in ((self.model.window, WINDOW), (self.model.pool, DAYS * 86400)):
            if given_back and slot in slots:
                slots.remove(slot)
            # a response that comes after the end of its slot changes nothing
            elif slot in slots and self.now < slot.begin + GRACE + lasts:
                slot.end = self.now

    @rule(seconds=st.sampled_from([1, 7, 55, 500, 990, 1100, 40_000, 86_400]))
    def advance(self, seconds: int) -> None:
        for clock in self.clocks:
            clock.sleep(seconds)

    @rule(retry_after=st.sampled_from([None, 5.0, 300.0, 5000.0]))
    def block(self, retry_after: float | None) -> None:
        for quota, clock in zip(self.quotas, self.clocks, strict=True):
            quota.blocked("user:alice", "GET", self.url, retry_after=retry_after, clock=clock)
        if retry_after is None:
            self.model.closed = max(self.model.closed, self.now + WINDOW)
        else:
            self.model.closed = self.now + retry_after
            self.model.window.clear()

    @invariant()
    def state_is_that_of_the_model(self) -> None:
        for quota, clock in zip(self.quotas, self.clocks, strict=True):
            state = quota.state("user:alice", self.url, clock=clock)
            assert state is not None
            assert state.retry_after == self.model.wait(self.now)
            assert state.pool_remaining == self.model.pool_left(self.now)


def test_any_order_of_requests_and_responses_is_counted_as_in_the_model() -> None:
    run_state_machine_as_test(
        Requests, settings=settings(max_examples=examples(15), stateful_step_count=40)
    )
