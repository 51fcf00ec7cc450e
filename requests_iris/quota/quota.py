"""The setting ``quota``: a store, the rules, and how long a request may wait."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from ..clock import Clock
from ..errors import QuotaExceededError, SettingError
from ..secret import Secret
from .claim import Claim, claims_of, owner_key
from .place import ledger_at
from .reservation import SHORT, Reservation, named, refusal
from .rules import IRIS_RATE_LIMITS, RateLimit, Target, page_of, text_of
from .store import QuotaStore
from .usage import Left, affordable_in, left

#: Seconds that a request waits for a slot at most.
MAX_WAIT = 120.0
#: When a request may draw from a pool: in a walk that has begun, always, or never.
WALK, ALWAYS, NEVER = "walk", "always", "never"
#: Requests with known claims. For these requests the rules are not searched again.
KEPT = 1024

_CLOCK = Clock()


@dataclass(frozen=True)
class QuotaState:
    """What is left of a rate limit.

    :ivar rule: the name of the rule.
    :ivar limit: the requests in a window.
    :ivar remaining: the requests that the window allows now.
    :ivar pool_remaining: the requests that the pool allows now; 0 without a pool. The pool is
        closed after a 429 that nobody foresaw.
    :ivar retry_after: seconds until the window allows a request; 0 if a request may leave now.
    """

    rule: str
    limit: int
    remaining: int
    pool_remaining: int
    retry_after: float


@dataclass(frozen=True)
class QuotaEntry:
    """A rate limit that is in use, for a table.

    :ivar label: the key of the slots, such as a path. Empty for a rule without a key.
    :ivar state: what is left.
    """

    label: str
    state: QuotaState


class Quota:
    """Reserves a slot for each request before the request is sent.

    ::

        IrisSession(quota=Quota("/var/lib/app/quota.db", max_wait=900, pool="never"))

    Sessions of a process with the same owner and the same place share slots. Processes share
    slots through a file or Redis. A pickle or a copy has the same place. A pickle of a Quota in
    memory starts empty.

    Threads may share a Quota: nothing in a Quota changes, and its ledger is made for threads.

    :param store: ``"memory"``, the path of an SQLite file on a local disk, ``file:///path``,
        ``redis://…``, ``rediss://…``, or a :class:`QuotaStore`.
    :param limits: the rules. Your own rules replace :data:`IRIS_RATE_LIMITS`; to add rules, pass
        ``(*IRIS_RATE_LIMITS, RateLimit(...))``.
    :param max_wait: seconds that a request waits for a slot at most. Instead of a longer wait, the
        request raises :class:`QuotaExceededError`. A wait of a second or less is always possible.
    :param pool: ``"walk"``: only a walk that has begun draws from a pool. ``"always"``: each
        request may. ``"never"``: no request may. A request draws only if its own slot is not back
        within `max_wait`.
    :raises SettingError: for an unusable argument.
    """

    def __init__(
        self,
        store: QuotaStore | str | os.PathLike[str],
        limits: Iterable[RateLimit] = IRIS_RATE_LIMITS,
        max_wait: float = MAX_WAIT,
        pool: str = WALK,
    ) -> None:
        if isinstance(store, str):
            store = Secret(store)  # a traceback with local variables must not show a password
        self._limits = _checked_limits(limits)
        self._max_wait = _checked_wait(max_wait)
        if pool not in (WALK, ALWAYS, NEVER):
            raise _refused(f'pool must be "{WALK}", "{ALWAYS}" or "{NEVER}"', pool)
        self._pool = pool
        self._ledger = ledger_at(store)
        # without a reference to self, which would keep the store open until a garbage collection
        self._found = lru_cache(maxsize=KEPT)(partial(_find, self._limits))

    @property
    def store(self) -> QuotaStore:
        """The store, opened at the first request."""
        return self._ledger.store

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """The rules."""
        return self._limits

    @property
    def max_wait(self) -> float:
        """Seconds that a request waits for a slot at most."""
        return self._max_wait

    @property
    def pool(self) -> str:
        """When a request may draw from a pool: "walk", "always" or "never"."""
        return self._pool

    def __repr__(self) -> str:
        return f"Quota({self.store!r}, max_wait={self._max_wait:g}, pool={self._pool!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Quota, (self.store, self._limits, self._max_wait, self._pool)

    def __copy__(self) -> Quota:
        return self

    def __deepcopy__(self, memo: object) -> Quota:
        return self

    def limits_request(self, owner: str, method: str, url: str | bytes) -> bool:
        """Whether any rule limits the request."""
        return bool(self._claims(owner, method, url))

    def reserve(
        self,
        owner: str,
        method: str,
        url: str | bytes,
        *,
        in_walk: bool = False,
        clock: Clock = _CLOCK,
    ) -> Reservation:
        """Waits until each rule has a slot for the request, and takes the slots.

        :param owner: see :func:`owner_of`.
        :param in_walk: whether the request belongs to a walk that has begun.
        :param clock: the clock for the time and for waits.
        :raises QuotaExceededError: if the wait is longer than `max_wait`. No slot is taken.
        """
        reservation = Reservation(self._ledger, self._claims(owner, method, url), clock)
        reservation.take(self._max_wait, self._draws(in_walk))
        return reservation

    def blocked(
        self,
        owner: str,
        method: str,
        url: str | bytes,
        *,
        retry_after: float | None = None,
        clock: Clock = _CLOCK,
    ) -> None:
        """Records a 429. All sessions with the store stop sending requests of the same rules.

        :param retry_after: the ``Retry-After`` of the response in seconds. Replaces the slots of
            the window. If None, each rule's window is used up from now. The pool is closed until
            then.
        """
        claims = self._claims(owner, method, url)
        if claims:
            stored, _ = self._ledger.split(claims)
            known = retry_after is not None and math.isfinite(retry_after)
            seconds = [retry_after if known else claim.rule.window for claim in claims]
            self._ledger.block(stored, [float(each or 0) for each in seconds], clock, replace=known)

    def check(
        self, owner: str, method: str, urls: Iterable[str | bytes], *, clock: Clock = _CLOCK
    ) -> None:
        """Checks whether a walk can read all its remaining pages. Takes no slot.

        :param urls: of the pages, a URL for each request.
        :raises QuotaExceededError: if the slots of a rule are not enough. ``retry_after`` is the
            time until enough slots are free. If the rule never has enough, ``retry_after`` is the
            time until all its slots are free, or a window if all are free now, and ``retryable``
            is false.
        """
        needed: Counter[Claim] = Counter()
        for url in urls:
            needed.update(self._claims(owner, method, url))
        # the slots of a short window come back while the walk waits
        claims = [claim for claim in needed if claim.rule.window > self._max_wait]
        if not claims:
            return
        stored, _ = self._ledger.split(claims)
        now, usages = self._ledger.usages(stored, clock)
        draw = self._draws(in_walk=True)
        waits = [
            affordable_in(claim, usage, now, needed[claim], draw)
            for claim, usage in zip(claims, usages, strict=True)
        ]
        worst = max(range(len(claims)), key=lambda index: waits[index])
        short = [index for index, claim in enumerate(claims) if needed[claim] > claim.most(draw)]
        worst = short[0] if short else worst
        if waits[worst] > self._max_wait or short:
            claim = claims[worst]
            raise _unaffordable(
                claim,
                left(claim, usages[worst], now),
                waits[worst],
                needed[claim],
                bool(short),
                clock,
            )

    def state(
        self, owner: str, url: str | bytes, method: str = "GET", *, clock: Clock = _CLOCK
    ) -> QuotaState | None:
        """What is left for a request, by the rule that allows the least. None without a rule."""
        claims = self._claims(owner, method, url)
        if not claims:
            return None
        stored, paced = self._ledger.split(claims)
        lefts = self._ledger.left(stored, paced, clock)
        # a pause between paced requests matters less than the slots of a long window
        waits = [each.wait if each.wait > SHORT else 0.0 for each in lefts]
        index = max(range(len(claims)), key=lambda each: (waits[each], claims[each].rule.window))
        return _state(claims[index].rule, lefts[index])

    def entries(self, owner: str, *, clock: Clock = _CLOCK) -> list[QuotaEntry]:
        """Every limit of the owner that is in use, in the order of the rules and the labels."""
        rules = {rule.name: rule for rule in self._limits}
        records = [
            each for each in self._ledger.records(owner_key(owner), clock) if each.rule in rules
        ]
        claims = [
            Claim(each.key, owner_key(owner), rules[each.rule], each.label) for each in records
        ]
        stored, paced = self._ledger.split(claims)
        lefts = self._ledger.left(stored, paced, clock)
        order = {name: place for place, name in enumerate(rules)}
        found = sorted(
            zip(claims, lefts, strict=True),
            key=lambda each: (order[each[0].rule.name], each[0].label),
        )
        return [QuotaEntry(claim.label, _state(claim.rule, left)) for claim, left in found]

    def flush(self, *, clock: Clock = _CLOCK) -> None:
        """Saves what the store left for later. Called when a session is closed."""
        self._ledger.flush(clock)

    def _draws(self, in_walk: bool) -> bool:
        return self._pool == ALWAYS or (self._pool == WALK and in_walk)

    def _claims(self, owner: str, method: str, url: str | bytes) -> tuple[Claim, ...]:
        base, _, query = text_of(url).partition("#")[0].partition("?")
        return self._found(owner, method, base, page_of(query) if "page=" in query else "0")


def quota_of(value: Any) -> Quota | None:
    """The Quota for the setting ``quota``. None if quotas are off: None, False or 0.

    :raises SettingError: for an unusable value.
    """
    if value is None or (isinstance(value, (int, float)) and value == 0):
        return None
    return value if isinstance(value, Quota) else Quota(value)


def _find(
    limits: tuple[RateLimit, ...], owner: str, method: str, base: str, page: str
) -> tuple[Claim, ...]:
    return claims_of(limits, owner, method, Target.of(base)._replace(page=page))


def _unaffordable(
    claim: Claim, free: Left, wait: float, count: int, is_for_ever: bool, clock: Clock
) -> QuotaExceededError:
    """The error of a list that needs `count` more requests."""
    requests = f"{count} more request{'s' if count > 1 else ''}"
    reason, advice = "which has fewer free slots", "Send these requests at {time}"
    if is_for_ever:
        reason, advice = "which never has so many free slots", "Read a shorter list"
        wait = wait or claim.rule.window  # a loop must not try again and again without a pause
    return refusal(
        claim,
        f"The list needs {requests} of the {named(claim)}, {reason}. These requests were not sent",
        advice,
        clock,
        wait=wait,
        remaining=free.remaining,
        pool_remaining=free.pooled,
        retryable=not is_for_ever,
    )


def _state(rule: RateLimit, free: Left) -> QuotaState:
    return QuotaState(rule.name, rule.limit, free.remaining, free.pooled, max(0.0, free.wait))


def _checked_limits(limits: Any) -> tuple[RateLimit, ...]:
    try:
        checked = tuple(limits)
    except TypeError:
        checked = (limits,)
    for each in checked:
        if not isinstance(each, RateLimit):
            raise _refused("limits must be RateLimit objects", each)
    return checked


def _checked_wait(seconds: Any) -> float:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < math.inf:
        raise _refused("max_wait must be 0 seconds or more, and finite", seconds)
    return float(seconds)


def _refused(problem: str, value: Any) -> SettingError:
    return SettingError(f"{problem}, not {value!r}", setting="quota")
