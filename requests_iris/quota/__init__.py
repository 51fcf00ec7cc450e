"""Quotas: how many requests IRIS accepts, and how many are left.

The interface for the session, its adapter and the command line::

    quota = quota_of("/var/lib/app/quota.db")  # or None, if `quota` is off
    owner = owner_of(username=username, client_id=client_id)

    # waits for a slot; QuotaExceededError if the wait is longer than `max_wait`
    reservation = quota.reserve(owner, "GET", request.url, in_walk=False, clock=clock)
    reservation.waited                        # seconds; sign again if this is not 0
    reservation.settle()                      # a response or an error: the slot counts from now
    reservation.give_back()                   # no byte of the request was sent: the slot is free

    quota.blocked(owner, "GET", url, retry_after=60.0, clock=clock)   # after a 429; or None
    quota.check(owner, "GET", urls, clock=clock)                      # a walk that knows its pages
    quota.state(owner, url, "GET", clock=clock)                       # a QuotaState, or None
    quota.entries(owner, clock=clock)                                 # for the command line
    quota.flush()                                                     # when a session is closed

`reserve` returns a Reservation also if no rule limits the request. The first call of `settle` or
`give_back` counts, and each further call does nothing. A Reservation without a call counts as a
slot. ``iris.bearer`` calls `settle` as soon as the request is signed. `in_walk` is true for a walk
whose first page has come, or that was resumed. The error of a resend after a 401 gets its
``response`` from the caller: ``error.response = response``.
"""

from __future__ import annotations

from .claim import owner_of
from .quota import Quota, QuotaEntry, QuotaState, quota_of
from .reservation import Reservation
from .rules import IRIS_RATE_LIMITS, Pool, RateLimit
from .store import QuotaStore
from .view import QuotaView

__all__ = [
    "IRIS_RATE_LIMITS",
    "Pool",
    "Quota",
    "QuotaEntry",
    "QuotaState",
    "QuotaStore",
    "QuotaView",
    "RateLimit",
    "Reservation",
    "owner_of",
    "quota_of",
]
