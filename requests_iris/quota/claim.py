"""A claim: the rule for a request, with the hash of the slots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from ..secret import Secret, redacted
from ..stores import key_of
from ..text import one_line
from .rules import CUSTOMER, RateLimit, Target, matching

#: The owner of the slots if a session has neither a user name nor a client id.
COMMON = ""
#: Characters of a label at most. People read a label, so the end may be cut.
LABEL = 120


@dataclass(frozen=True)
class Claim:
    """One rule for one request.

    :ivar key: a hash of owner, host, rule and the rule's key. Requests with equal hashes share
        slots.
    :ivar owner: a hash of the owner alone, for a list of an owner's slots.
    :ivar label: the rule's key for people, without the name of the owner.
    :ivar counted: false if only a block by a 429 matters, because another store counts.
    """

    key: str
    owner: str
    rule: RateLimit
    label: str
    counted: bool = True

    @property
    def interval(self) -> float:
        """Seconds between two paced requests."""
        return self.rule.window / self.rule.limit

    @property
    def pool_size(self) -> int:
        return self.rule.pool.size if self.rule.pool else 0

    @property
    def pool_seconds(self) -> float:
        return self.rule.pool.seconds if self.rule.pool else 0.0

    def most(self, draw: bool) -> int:
        """The slots of the window, and with `draw` also the slots of the pool."""
        return self.rule.limit + (self.pool_size if draw else 0)


def owner_of(*, username: str | None = None, client_id: str | None = None) -> str:
    """The owner of a session's slots: the user name, else the client id, else a common owner."""
    if username:
        return Secret(f"user:{username}")
    return Secret(f"client:{client_id}") if client_id else COMMON


def owner_key(owner: str) -> str:
    """The hash of an owner, as a quota store knows the owner."""
    return key_of("owner", owner)


def claims_of(
    limits: Iterable[RateLimit], owner: str, method: str, target: Target
) -> tuple[Claim, ...]:
    """A claim for each rule that limits the request. Of two claims of the same slots, the first."""
    claims: dict[str, Claim] = {}
    for rule, key in matching(limits, method, target):
        claim = _claim(rule, key, COMMON if rule.per == CUSTOMER else owner, target.host)
        claims.setdefault(claim.key, claim)
    return tuple(claims.values())


def _claim(rule: RateLimit, key: str, owner: str, host: str) -> Claim:
    return Claim(
        key=key_of("slot", owner, host, rule.name, key),
        owner=owner_key(owner),
        rule=rule,
        label=_label(key, owner),
    )


def _label(key: str, owner: str) -> str:
    """The rule's key for people. A path may contain the user name, in any spelling."""
    name = owner.partition(":")[2] or owner
    if name and name.casefold() in unquote(key).casefold():
        key = redacted(key, [name])
    if len(key) <= LABEL and key.isascii() and key.isprintable() and " " not in key:
        return key  # nearly every key; one_line takes longer than the search for the rules
    return one_line(key, LABEL)
