"""The slots of a send: each attempt to reach IRIS takes a slot of the quota.

The session reserves the slot of the first attempt, and hands the slot to the adapter by a context
variable. The adapter reserves the slot of each retry. A slot counts from the response or the error
of its attempt, because IRIS counts requests on arrival.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from requests import PreparedRequest, Response

from .clock import Clock
from .during import During
from .errors import QuotaExceededError
from .options import current_options
from .quota import Quota, Reservation
from .unsent import nothing_was_sent


class User(Protocol):
    """The user of a session."""

    @property
    def owner(self) -> str:
        """The owner of the user's slots, from :func:`owner_of`."""


class Slots:
    """Reserves slots for the requests of a session.

    Threads may share the object: a Quota is safe to share, and the object has no other state.

    :param quota: grants the slots.
    :param user: the owner of the slots, who can change at any time.
    :param clock: the clock for waits.
    """

    __slots__ = ("_clock", "_quota", "_user")

    def __init__(self, quota: Quota, user: User, clock: Clock) -> None:
        self._quota = quota
        self._user = user
        self._clock = clock

    def reserve(self, request: PreparedRequest) -> Slot | NoSlot:
        """Waits for a slot for `request`, and reserves the slot.

        :raises QuotaExceededError: if the wait is too long.
        """
        owner, method, url = self._user.owner, request.method or "GET", request.url or ""
        if not self._quota.limits_request(owner, method, url):
            return NO_SLOT
        return Slot(self, owner, method, url)

    def reservation(self, slot: Slot) -> Reservation:
        """A reservation in the quota, after a wait for the reservation."""
        in_walk = current_options.get().in_walk
        return self._quota.reserve(
            slot.owner, slot.method, slot.url, in_walk=in_walk, clock=self._clock
        )

    def learn(self, slot: Slot, response: Response) -> None:
        """Notes a 429: the slots of the window are used up, for all users of the quota."""
        if response.status_code == 429:
            wait = seconds_of_retry_after(response, self._clock)
            self._quota.blocked(
                slot.owner, slot.method, slot.url, retry_after=wait, clock=self._clock
            )


class Slot:
    """The slot of the current attempt of a send. Only the thread of the send uses the Slot."""

    __slots__ = ("_is_open", "_reservation", "method", "owner", "slots", "url")

    def __init__(self, slots: Slots, owner: str, method: str, url: str) -> None:
        self.slots = slots
        self.owner = owner
        self.method = method
        self.url = url
        self._reserve()

    def _reserve(self) -> None:
        self._reservation = self.slots.reservation(self)
        self._is_open = True

    @property
    def waited(self) -> float:
        """Seconds of the wait for the current slot."""
        return self._reservation.waited

    def again(self) -> bool:
        """Reserves the slot of a retry. Returns whether the quota has a slot."""
        try:
            self._reserve()
        except QuotaExceededError:
            return False
        return True

    def settle(self) -> None:
        """Counts the slot from now on."""
        self._reservation.settle()

    def answered(self, response: Response) -> None:
        """Settles the slot by a response. A second call for the same attempt does nothing."""
        if self._is_open:
            self._is_open = False
            # a class below IrisSession may be a cache, by `install_cache` of requests-cache
            if getattr(response, "from_cache", False):
                self._reservation.give_back()
            else:
                self._reservation.settle()
                self.slots.learn(self, response)

    def failed(self, error: BaseException) -> None:
        """Settles the slot by an error. The slot is free if no byte of the request was sent."""
        if self._is_open:
            self._is_open = False
            if nothing_was_sent(error):
                self._reservation.give_back()
            else:
                self._reservation.settle()

    def give_back(self) -> None:
        """Frees the slot: the request was not sent."""
        self._is_open = False
        self._reservation.give_back()

    def settled_by(self, send: Callable[[], Response]) -> Response:
        """The response of `send`, after settling the slot by the outcome."""
        try:
            response = send()
        except BaseException as error:
            self.failed(error)
            raise
        self.answered(response)
        return response

    def hand_to(
        self, send: Callable[..., Response], request: PreparedRequest, **settings: Any
    ) -> Response:
        """The response of `send`. The adapter gets the slot, for its retries."""
        with During(current_slot, self):
            return self.settled_by(lambda: send(request, **settings))


class NoSlot:
    """Stands for a slot where no quota counts. Nothing waits for a NoSlot."""

    __slots__ = ()
    waited = 0.0

    def again(self) -> bool:
        return True

    def answered(self, response: Response) -> None:
        """Does nothing."""

    def failed(self, error: BaseException) -> None:
        """Does nothing."""

    def give_back(self) -> None:
        """Does nothing."""

    def settle(self) -> None:
        """Does nothing."""

    def settled_by(self, send: Callable[[], Response]) -> Response:
        return send()

    def hand_to(
        self, send: Callable[..., Response], request: PreparedRequest, **settings: Any
    ) -> Response:
        return send(request, **settings)


NO_SLOT = NoSlot()
#: The slot of the request on the way from the session to the adapter.
current_slot: ContextVar[Slot | NoSlot] = ContextVar("requests_iris_slot", default=NO_SLOT)


def taken() -> Slot | NoSlot:
    """The slot that was handed to the adapter under way, for the first call only.

    The adapter sends further requests, such as a token request before a retry.
    """
    slot = current_slot.get()
    if slot is not NO_SLOT:
        current_slot.set(NO_SLOT)
    return slot


def seconds_of_retry_after(response: Response, clock: Clock) -> float | None:
    """Seconds of ``Retry-After`` in both formats (RFC 9110 section 10.2.3), or None.

    urllib3's parser compares a date with the clock of the system, and a test may move the clock of
    the session.
    """
    text = response.headers.get("Retry-After", "").strip()
    is_number = text.isascii() and text.isdigit()  # "-5" is no number of seconds, and opens nothing
    seconds = float(text) if is_number else _seconds_until(text, clock)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str, clock: Clock) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - clock.time()
    except (TypeError, ValueError, IndexError, OverflowError, OSError):
        return math.nan
