"""Quota stores: where sessions, processes and machines share slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .claim import Claim
from .usage import Left, Usage


class Answer(NamedTuple):
    """The answer of a store to the claims of one request.

    :ivar granted: whether all claims got a slot. If not, no claim did.
    :ivar wait: seconds; until the request may leave, or until the next attempt makes sense.
    :ivar decisive: the index of the claim with the longest wait.
    :ivar left: the free slots of each rule after the request.
    :ivar pooled: whether the slot comes from the pool, for each claim.
    """

    granted: bool
    wait: float
    decisive: int
    left: tuple[Left, ...]
    pooled: tuple[bool, ...]


class Record(NamedTuple):
    """The slots of one key, for a table.

    :ivar rule: the name of the rule.
    :ivar label: the rule's key for people.
    :ivar key: the hash.
    """

    rule: str
    label: str
    key: str


@runtime_checkable
class QuotaStore(Protocol):
    """Slots that sessions share, often from many processes.

    A session survives every exception of a store: the session logs one warning, and counts in its
    own memory until the store works again. A store is pickled together with its session, and
    threads share a store. Each call runs in a separate thread, and after 5 seconds the session
    continues without the answer. Raise :class:`requests_iris.stores.StoreError` with a text that is
    safe to log.

    The functions of ``requests_iris.quota.usage`` say when a claim gets a slot.
    :class:`requests_iris.quota.contract.QuotaStoreContract` tests a store.

    `now` is the time of the session's clock, in seconds since 1970. `slot` is a random number of
    less than 63 bits that names the slots of one request.

    :ivar paces: whether the store counts the slots of paced rules too. If not, each process spaces
        its own requests.
    """

    paces: bool

    def reserve(
        self, claims: Sequence[Claim], slot: int, now: float, *, longest: float, draw: bool
    ) -> Answer:
        """Takes a slot for every claim, or takes nothing. One atomic step for every process.

        :param longest: seconds that the request may wait.
        :param draw: whether the request may draw from the pool.
        """

    def settle(self, claims: Sequence[Claim], slot: int, now: float) -> None:
        """The response came: the slots count from now. A store may save this later, and together
        with the next request.
        """

    def give_back(self, claims: Sequence[Claim], slot: int) -> None:
        """Removes the slots of a request that was not sent."""

    def block(
        self, claims: Sequence[Claim], seconds: Sequence[float], now: float, *, replace: bool
    ) -> None:
        """Allows no request for some seconds.

        :param seconds: for each claim.
        :param replace: whether the block replaces the slots of the window and an earlier block.
        """

    def usages(self, claims: Sequence[Claim], now: float) -> tuple[float, Sequence[Usage]]:
        """The slots in use of each claim, and the time of the store."""

    def records(self, owner: str, now: float) -> Sequence[Record]:
        """All keys of an owner with a slot in use or a block.

        :param owner: the hash of the owner.
        """

    def flush(self) -> None:
        """Saves what `settle` left for later."""
