"""The slots of one attempt: reserved before the request leaves, settled by its response."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from ..clock import Clock
from ..errors import QuotaExceededError
from .claim import Claim
from .ledger import Ledger
from .store import Answer

log = logging.getLogger("requests_iris")

#: Seconds of a pause that never refuses a request.
SHORT = 1.0
#: Seconds of a wait after which the store is asked again: a process may give a slot back.
POLL = 5.0
#: Seconds of the shortest wait, so that a rounding error does not become a busy loop.
LEAST = 0.001
#: A draw from the pool that leaves fewer slots is a warning.
LAST = 10


class Reservation:
    """The slots of one attempt.

    The first call of `settle` or `give_back` counts. Without a call, the slots count from a minute
    after the departure of the request.

    :ivar waited: seconds of waiting for the slots.
    """

    def __init__(self, ledger: Ledger, claims: Sequence[Claim], clock: Clock) -> None:
        self._ledger = ledger
        self._claims, self._paced = ledger.split(claims)
        self._clock = clock
        self._slot = secrets.randbits(62)
        self._open = False
        self.waited = 0.0

    def settle(self) -> None:
        """The response or an error came. The slots count from now."""
        if self._open:
            self._open = False
            self._ledger.settle(self._claims, self._paced, self._slot, self._clock)

    def give_back(self) -> None:
        """No byte of the request was sent. The slots are free again."""
        if self._open:
            self._open = False
            self._ledger.give_back(self._claims, self._paced, self._slot, self._clock)

    def take(self, max_wait: float, draw: bool) -> None:
        """Waits for a slot of every rule, and for the departure. No lock is held meanwhile.

        :param max_wait: seconds to wait at most.
        :param draw: whether the pool may be used.
        :raises QuotaExceededError: if the wait is longer. No slot is taken.
        :raises CancelledError: if the walk was closed. No slot is taken.
        """
        if not self._claims:
            return
        ends = self._clock.monotonic() + max_wait
        answer = self._granted(self._claims, ends, self._reserve(draw))
        self._open = True
        try:
            self._report_pool(answer)
            self._pause(answer.wait)
            if self._paced:
                self._pause(self._granted(self._paced, ends, self._pace).wait)
        except BaseException:
            self.give_back()
            raise

    def _reserve(self, draw: bool) -> Callable[[float], Answer]:
        return lambda longest: self._ledger.reserve(
            self._claims, self._slot, self._clock, longest=longest, draw=draw
        )

    def _pace(self, longest: float) -> Answer:
        return self._ledger.pace(self._paced, self._slot, self._clock, longest=longest)

    def _granted(
        self, claims: Sequence[Claim], ends: float, ask: Callable[[float], Answer]
    ) -> Answer:
        """The answer that grants the slots.

        :param ends: the end of the wait on the monotonic clock.
        """
        told = False
        while True:
            longest = max(SHORT, ends - self._clock.monotonic())
            answer = ask(longest)
            if answer.granted:
                return answer
            claim = claims[answer.decisive]
            if answer.wait > longest:
                raise exceeded(claim, answer, self._clock)
            if answer.wait > SHORT and not told:
                told = True
                log.info("Waiting %.0f s for a slot of the %s", answer.wait, named(claim))
            self._pause(min(max(answer.wait, LEAST), POLL))

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._clock.sleep(seconds)
            self.waited += seconds

    def _report_pool(self, answer: Answer) -> None:
        for claim, pooled, left in zip(self._claims, answer.pooled, answer.left, strict=True):
            if pooled:
                log.log(
                    logging.WARNING if left.pooled < LAST else logging.INFO,
                    "Took a slot from the pool of the %s. %d of %d are left",
                    *(named(claim), left.pooled, claim.pool_size),
                )


def exceeded(claim: Claim, answer: Answer, clock: Clock) -> QuotaExceededError:
    """The error of a request that would wait too long."""
    left = answer.left[answer.decisive]
    return refusal(
        claim,
        f"The {named(claim)} allows no request for {_seconds(answer.wait)}, and nothing was sent",
        "Send the request again at {time}",
        clock,
        wait=answer.wait,
        remaining=left.remaining,
        pool_remaining=left.pooled,
    )


def refusal(
    claim: Claim,
    problem: str,
    advice: str,
    clock: Clock,
    *,
    wait: float,
    remaining: int,
    pool_remaining: int,
    retryable: bool = True,
) -> QuotaExceededError:
    """The error of a request or a list that gets no slots.

    :param problem: the first sentence of the message, without a full stop.
    :param advice: what to do, perhaps with ``{time}`` for the time after `wait`.
    """
    reset_at = datetime.fromtimestamp(clock.time(), UTC) + timedelta(seconds=wait)
    advice = advice.format(time=f"{reset_at:%Y-%m-%d %H:%M:%S} UTC")
    return QuotaExceededError(
        f"{problem}.{_pool(claim, pool_remaining)} {advice}, or raise max_wait of the Quota in "
        "`quota=`",
        retry_after=wait,
        reset_at=reset_at,
        limit=claim.rule.limit,
        remaining=remaining,
        pool_remaining=pool_remaining,
        rule=claim.rule.name,
        key=claim.key,
        retryable=retryable,
    )


def _pool(claim: Claim, remaining: int) -> str:
    """A sentence about the pool of a rule; empty without a pool."""
    if not claim.pool_size:
        return ""
    whose = " for requests that pool= of the Quota allows" if remaining else ""
    return f" The pool has {remaining} of {claim.pool_size} slots{whose}."


def named(claim: Claim) -> str:
    """A claim in a sentence, without an article."""
    return f"rate limit {claim.rule.name!r}" + (f" of {claim.label}" if claim.label else "")


def _seconds(wait: float) -> str:
    return f"{wait:.0f} seconds" if wait >= 2 else f"{wait:.1f} seconds"
