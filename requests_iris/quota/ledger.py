"""Counts slots in a store. The store may fail at any time, and no request stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..clock import Clock
from ..deadline import call_until
from ..stores import StoreError
from ..stores.error import reason_of
from .claim import Claim
from .memory import MemoryQuotaStore
from .store import Answer, QuotaStore, Record
from .usage import Left, Usage, current, left

log = logging.getLogger("requests_iris")

Result = TypeVar("Result")

#: Seconds after a failure until the store is asked again.
ASKED_AGAIN = 5.0
#: Seconds after which a store counts as failing, even if the store answers in the end.
ANSWERS_WITHIN = 5.0
_LATE = f"no answer within {ANSWERS_WITHIN:g} seconds"
#: Calls without an answer at most. A store that hangs for days must not use up all threads.
MOST_HANGING = 100

#: Spaces the paced requests of this process, on the monotonic clock. The sessions of all users and
#: stores share the pacer: the limits of a customer hold for all users together.
_pacer = MemoryQuotaStore()


class Ledger:
    """A store, and the memory that counts while the store fails.

    After the store works again, the slots in memory keep counting, since the store does not know
    these slots.

    Threads may share a ledger. A race about the state of the store costs a second warning or a
    second attempt at most.
    """

    def __init__(self, store: QuotaStore) -> None:
        self.store = store
        self._memory = MemoryQuotaStore()
        self._failing = False
        self._asked_again = float("-inf")
        self._running: set[object] = set()

    def split(self, claims: Sequence[Claim]) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
        """The claims for the store, and the claims for the pace of this process.

        A store without a pace still knows the blocks of paced rules.
        """
        paced = tuple(claim for claim in claims if claim.rule.paced)
        if self.store.paces or not paced:
            return tuple(claims), ()
        return tuple(replace(claim, counted=claim not in paced) for claim in claims), paced

    def reserve(
        self, claims: Sequence[Claim], slot: int, clock: Clock, *, longest: float, draw: bool
    ) -> Answer:
        """A slot for every claim, from the store or, if the store fails, from memory."""
        now = clock.time()
        in_memory = None
        if self._memory.knows(claims, now):
            in_memory = self._memory.reserve(claims, slot, now, longest=longest, draw=draw)
            if not in_memory.granted:
                return in_memory
        answer = self._ask(
            clock, lambda store: store.reserve(claims, slot, now, longest=longest, draw=draw)
        )
        if answer is None:
            return in_memory or self._memory.reserve(claims, slot, now, longest=longest, draw=draw)
        if in_memory and not answer.granted:
            self._memory.give_back(claims, slot)
        return answer

    def pace(self, claims: Sequence[Claim], slot: int, clock: Clock, *, longest: float) -> Answer:
        """A time of departure for every claim, in this process."""
        return _pacer.reserve(claims, slot, clock.monotonic(), longest=longest, draw=False)

    def settle(
        self, claims: Sequence[Claim], paced: Sequence[Claim], slot: int, clock: Clock
    ) -> None:
        _pacer.settle(paced, slot, clock.monotonic())
        now = clock.time()
        self._memory.settle(claims, slot, now)
        if any(claim.counted for claim in claims):
            # no proof of a working store: a store may save the response later
            self._ask(clock, lambda store: store.settle(claims, slot, now), proves=False)

    def give_back(
        self, claims: Sequence[Claim], paced: Sequence[Claim], slot: int, clock: Clock
    ) -> None:
        _pacer.give_back(paced, slot)
        self._memory.give_back(claims, slot)
        if any(claim.counted for claim in claims):
            self._ask(clock, lambda store: store.give_back(claims, slot))

    def block(
        self, claims: Sequence[Claim], seconds: Sequence[float], clock: Clock, *, replace: bool
    ) -> None:
        now = clock.time()

        def block(store: QuotaStore) -> bool:
            store.block(claims, seconds, now, replace=replace)
            return True

        if not self._ask(clock, block) or self._memory.knows(claims, now):
            block(self._memory)

    def usages(self, claims: Sequence[Claim], clock: Clock) -> tuple[float, Sequence[Usage]]:
        """The slots in use of each claim, and the time of the store."""
        now = clock.time()
        if not self._memory.knows(claims, now):
            found = self._ask(clock, lambda store: store.usages(claims, now))
            if found is not None:
                return found[0], [
                    current(claim, usage, found[0])
                    for claim, usage in zip(claims, found[1], strict=True)
                ]
        return self._memory.usages(claims, now)

    def left(self, claims: Sequence[Claim], paced: Sequence[Claim], clock: Clock) -> list[Left]:
        """What is left of each rule of `claims`."""
        now, usages = self.usages(claims, clock)
        pace_now, paces = _pacer.usages(paced, clock.monotonic())
        by_key = dict(zip((claim.key for claim in paced), paces, strict=True))
        return [
            left(claim, by_key[claim.key], pace_now)
            if claim.key in by_key and usage.block is None
            else left(claim, usage, now)
            for claim, usage in zip(claims, usages, strict=True)
        ]

    def records(self, owner: str, clock: Clock) -> list[Record]:
        now = clock.time()
        found = self._ask(clock, lambda store: store.records(owner, now)) or ()
        return list(
            {each.key: each for each in (*found, *self._memory.records(owner, now))}.values()
        )

    def flush(self, clock: Clock) -> None:
        self._ask(clock, lambda store: store.flush(), proves=False)

    def _ask(
        self, clock: Clock, question: Callable[[QuotaStore], Result], *, proves: bool = True
    ) -> Result | None:
        """The answer of the store, or None if the store fails.

        :param proves: whether an answer proves that the store works again.
        """
        if self._failing and self._waits(clock):
            return None
        began = time.monotonic()
        try:
            answer = self._answer(question)
        except Exception as error:
            self._report(reason_of(error), clock)
            return None
        if time.monotonic() - began > ANSWERS_WITHIN:
            self._report(_LATE, clock)
        elif self._failing and proves:
            self._failing = False
            log.info("The quota store works again: %r", self.store)
        return answer

    def _answer(self, question: Callable[[QuotaStore], Result]) -> Result:
        """The answer of the store. A store that may hang answers in a separate thread.

        :raises StoreError: if there is no answer in time. The call then ends in its thread.
        """
        if getattr(self.store, "is_prompt", False) is True:  # not an attribute of a mock
            return question(self.store)
        if len(self._running) >= MOST_HANGING and self._failing:
            raise StoreError(_LATE)
        call, answers, clock = object(), [], Clock()  # a test may stop the session's clock

        def ask() -> None:
            try:
                answers.append(question(self.store))
            finally:
                self._running.discard(call)

        self._running.add(call)
        call_until(clock.monotonic() + ANSWERS_WITHIN, ask, clock)
        if not answers:
            raise StoreError(_LATE)
        return answers[0]

    def _waits(self, clock: Clock) -> bool:
        """Whether the next attempt is later. A single thread makes the attempt."""
        now = clock.monotonic()
        if now < self._asked_again <= now + ASKED_AGAIN:
            return True
        self._asked_again = now + ASKED_AGAIN
        return False

    def _report(self, reason: str, clock: Clock) -> None:
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing, self._asked_again = True, clock.monotonic() + ASKED_AGAIN
        log.log(
            level,
            "The quota store failed: %s. Requests continue, and this process counts them in memory "
            "until the store works again. To use a different store, pass `quota=` or set "
            "TRACKUNIT_QUOTA",
            reason,
        )
