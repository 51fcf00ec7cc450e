"""The access tokens of the sandbox: the scopes and the end of each token."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, replace

from ..clock import Clock

#: Seconds for which the API accepts a token of lifetime 0, as servers with some leeway do. A client
#: that renews before each request succeeds, even on a busy machine.
ZERO_LIFETIME_GRACE = 60.0


@dataclass(frozen=True)
class Grant:
    """The scopes of an access token, and the end on the monotonic clock.

    :ivar is_key: true for a token of an API key, false for a token of an API User.
    """

    scopes: tuple[str, ...]
    ends: float
    is_key: bool = False


class Tokens:
    """The access tokens of all grants.

    :ivar issued: every access token until now, the oldest first.
    :ivar owners: whose each of these tokens is, also after the token's end: "user" or "key".
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._grants: dict[str, Grant] = {}
        self.issued: list[str] = []
        self.owners: dict[str, str] = {}

    def add(
        self, token: str, scopes: tuple[str, ...], lifetime: float, *, is_key: bool = False
    ) -> None:
        ends = self._clock.monotonic() + (lifetime or ZERO_LIFETIME_GRACE)
        self._grants[token] = Grant(scopes, ends, is_key)
        self.owners[token] = "key" if is_key else "user"
        self.issued.append(token)

    def grant(self, token: str) -> Grant | None:
        """The grant of a valid token. None for an unknown or expired token."""
        grant = self._grants.get(token)
        return grant if grant is not None and self._clock.monotonic() < grant.ends else None

    def expire(self) -> None:
        """Lets every token expire now."""
        for token, grant in self._grants.items():
            self._grants[token] = replace(grant, ends=-math.inf)

    def revoke(self) -> None:
        self._grants.clear()


def random_token(_request: object) -> str:
    return secrets.token_urlsafe(48)
