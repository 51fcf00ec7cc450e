"""The slots behind a key, and the decision about the next request.

Stamps are seconds. A slot's stamp is the time of the response; until the response comes, the stamp
is `GRACE` seconds after the departure of the request. A stamp in the future counts as now, so a
request on its way counts as if its response came now, and the slot of a killed process comes back
`GRACE` seconds late.

The functions here are pure. The memory store and the SQLite store use them, and the script of the
Redis store does the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .claim import Claim

#: Seconds after its departure until a request without a response counts as received by the server.
#: A connection takes less, and a caller would wait longer.
GRACE = 60.0
#: Seconds ahead for which a paced request gets a time of departure. Later requests ask again.
HORIZON = 30.0
#: Seconds ahead of a stamp at most, unless the clock was set back.
FARTHEST = GRACE + HORIZON
#: Seconds for which a block may last. A server must not stop a program for ever.
LONGEST_BLOCK = 31 * 24 * 3600.0


class Block(NamedTuple):
    """An unforeseen 429: no request from `since` to `until`."""

    since: float
    until: float

    def at(self, now: float) -> Block:
        """The same block. After the clock was set back, the block starts now.

        A block lasts `LONGEST_BLOCK` seconds at most, also in a damaged store.
        """
        since = min(self.since, now)
        return Block(since, since + min(self.until - self.since, LONGEST_BLOCK))


@dataclass(frozen=True)
class Usage:
    """The slots behind one key.

    :ivar window: the stamps of the slots of the window, in ascending order.
    :ivar pool: the stamps of the slots from the pool, in ascending order.
    :ivar block: the last block, or None.
    :ivar departed: the last departure of a paced request.
    """

    window: tuple[float, ...] = ()
    pool: tuple[float, ...] = ()
    block: Block | None = None
    departed: float = float("-inf")


class Verdict(NamedTuple):
    """Whether a claim gets a slot.

    :ivar wait: 0 if the claim gets a slot, else seconds until the next attempt makes sense.
    :ivar pooled: whether the slot comes from the pool.
    :ivar departs: when a request with a slot may leave.
    """

    wait: float
    pooled: bool = False
    departs: float = 0.0


class Left(NamedTuple):
    """The free slots of a rule.

    :ivar remaining: the free slots of the window.
    :ivar pooled: the free slots of the pool.
    :ivar wait: seconds until the window has a free slot.
    """

    remaining: int
    pooled: int
    wait: float


def repaired(stamp: float, now: float) -> float:
    """`stamp`, or `now` for a stamp so far ahead that the clock must have been set back.

    Stores save the repaired stamp. Otherwise the slot would be used until the clock reaches the
    stamp, perhaps for years.
    """
    return stamp if stamp <= now + FARTHEST else now


def judge(claim: Claim, usage: Usage, now: float, longest: float, draw: bool) -> Verdict:
    """Whether a claim gets a slot. `usage` has no old stamps (see `current`).

    :param longest: seconds that the request may wait.
    :param draw: whether the request may draw from the pool.
    """
    if usage.block is not None:
        return Verdict(usage.block.until - now)
    if not claim.counted:
        return Verdict(0, departs=now)
    if claim.rule.paced:
        return _paced(claim, usage, now)
    over = len(usage.window) - claim.rule.limit
    if over < 0:
        return Verdict(0, departs=now)
    wait = _left_of(usage.window[over], claim.rule.window, now)
    if wait > longest and draw and len(usage.pool) < claim.pool_size:
        return Verdict(0, pooled=True, departs=now)
    return Verdict(wait)


def _paced(claim: Claim, usage: Usage, now: float) -> Verdict:
    """The departure of a paced request: evenly spaced, and never too many in a window.

    Even departures are not enough: a slow connection delays one request, and the requests behind
    it arrive sooner. So a request leaves a whole window after the response to the request
    `limit` places before. The earlier request arrived before its response, and the later request
    arrives after its departure. So the server never sees more than `limit` requests in a window,
    however long a request takes to arrive.
    """
    departs = max(now, usage.departed + claim.interval)
    over = len(usage.window) - claim.rule.limit
    if over >= 0:
        stamp = usage.window[over]
        if stamp > now:  # no response yet, and the end of the slot is unknown
            return Verdict(max(0.0, stamp - GRACE - now) + claim.rule.window)
        departs = max(departs, stamp + claim.rule.window)
    if departs - now > HORIZON:
        return Verdict(departs - now)
    return Verdict(0, departs=departs)


def current(claim: Claim, usage: Usage, now: float) -> Usage:
    """`usage` without old slots and blocks, and with repaired stamps."""
    block = usage.block.at(now) if usage.block else None
    return replace(
        usage,
        window=_living(usage.window, claim.rule.window, now),
        pool=_living(usage.pool, claim.pool_seconds, now),
        block=block if block and block.until > now else None,
        departed=usage.departed if usage.departed <= now + HORIZON else now,
    )


def left(claim: Claim, usage: Usage, now: float) -> Left:
    """The free slots of a rule. While a block lasts, the pool is closed too."""
    if usage.block is not None:
        return Left(0, 0, usage.block.until - now)
    over = len(usage.window) - claim.rule.limit
    wait = 0.0 if over < 0 else _left_of(usage.window[over], claim.rule.window, now)
    if claim.rule.paced:
        wait = max(wait, usage.departed + claim.interval - now)
    return Left(max(0, -over), max(0, claim.pool_size - len(usage.pool)), wait)


def affordable_in(claim: Claim, usage: Usage, now: float, count: int, draw: bool) -> float:
    """Seconds until `count` requests at once get slots. 0 if they get slots now.

    If the rule never has so many slots, the result is the time until all its slots are back.

    :param draw: whether the requests may draw from the pool.
    """
    back = [_left_of(each, claim.rule.window, now) for each in usage.window]
    if draw:
        back += [_left_of(each, claim.pool_seconds, now) for each in usage.pool]
    missing = min(count - (claim.most(draw) - len(back)), len(back))
    wait = sorted(back)[missing - 1] if missing > 0 else 0.0
    return max(wait, usage.block.until - now) if usage.block else wait


def with_slot(usage: Usage, stamp: float, pooled: bool) -> Usage:
    """`usage` with a new slot of the window or the pool."""
    if pooled:
        return replace(usage, pool=tuple(sorted((*usage.pool, stamp))))
    return replace(usage, window=tuple(sorted((*usage.window, stamp))))


def blocked(usage: Usage, block: Block, *, anew: bool) -> Usage:
    """`usage` after an unforeseen 429.

    :param anew: whether the response had a ``Retry-After``, which replaces the slots of the
        window and an earlier block. Otherwise an earlier block that lasts longer stays.
    """
    if anew:
        return Usage((), usage.pool, block, usage.departed)
    if usage.block is not None and usage.block.until > block.until:
        block = usage.block
    return Usage(usage.window, usage.pool, block, usage.departed)


def block_of(seconds: float, now: float) -> Block:
    """A block from now on. Negative numbers and numbers that are not finite become bounds."""
    return Block(now, now + min(max(seconds, 0.0), LONGEST_BLOCK))


def ends(claim: Claim, usage: Usage) -> float:
    """When the last slot and the block are over, and a store can forget the key."""
    return max(
        usage.window[-1] + claim.rule.window if usage.window else 0.0,
        usage.pool[-1] + claim.pool_seconds if usage.pool else 0.0,
        usage.block.until if usage.block else 0.0,
    )


def living(stamps: dict[int, float], lasts: float, now: float) -> dict[int, float]:
    """The stamps of slots that are in use, repaired, by the number of the request.

    A window can have a thousand slots, so a look at both ends comes before a loop in Python.
    """
    if not stamps:
        return stamps
    oldest = now - lasts
    if max(stamps.values()) > now + FARTHEST:
        stamps = {slot: repaired(each, now) for slot, each in stamps.items()}
    if min(stamps.values()) > oldest:
        return stamps
    return {slot: each for slot, each in stamps.items() if each > oldest}


def _living(stamps: Sequence[float], lasts: float, now: float) -> tuple[float, ...]:
    ordered = sorted(stamps)
    if ordered and ordered[-1] > now + FARTHEST:
        ordered = sorted(repaired(each, now) for each in ordered)
    return tuple(ordered[bisect_right(ordered, now - lasts) :])


def _left_of(stamp: float, lasts: float, now: float) -> float:
    return lasts - (now - min(stamp, now))
