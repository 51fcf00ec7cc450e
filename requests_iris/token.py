"""The token as a value: members, age, dict."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .secret import Bearer, Secret, fingerprint

#: A token is expiring in the last quarter of the lifetime ...
EXPIRING_SHARE = 1 / 4
#: ... or in the last 15 minutes, in seconds, whichever is shorter.
EXPIRING_AT_MOST = 15 * 60.0
#: Largest part of a lifetime for the leeway.
LEEWAY_SHARE = 1 / 10

# RFC 6749 appendix A.12, without the space: a token must fit into a header (RFC 6750 section 2.1).
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_SECRETS = ("access_token", "refresh_token")
_KNOWN = {"access_token", "token_type", "refresh_token", "expires_in", "expires_at", "scope"}


@dataclass(frozen=True)
class Token:
    """An access token, and the other members of the response (RFC 6749 section 5.1).

    :ivar expires_at: the end of the lifetime, in seconds since the epoch; None if not known.
    :ivar expires_in: the whole lifetime in seconds; None if not known.
    :ivar scope: the granted scope, or None if not known.
    :ivar others: further members of the response, kept for the caller. Their texts count as
        secret: an ``id_token`` is one.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    expires_in: float | None = None
    scope: tuple[str, ...] | None = None
    others: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_response(
        cls,
        members: Mapping[str, Any],
        *,
        asked_at: float,
        refresh_token: str | None = None,
        scope: tuple[str, ...] | None = None,
    ) -> Token:
        """The token in a response of a token endpoint.

        :param asked_at: when the request was sent. The lifetime counts from the request: a slow
            response makes the lifetime shorter, and never longer than the server's.
        :param refresh_token: still valid if the response has no refresh token (RFC 6749 section 6).
        :param scope: granted if the response has no scope (RFC 6749 section 5.1).
        :raises ValueError: if the response holds no usable token.
        """
        token_type = members.get("token_type")
        if token_type not in (None, "") and str(token_type).lower() != "bearer":
            raise ValueError("its token_type is not Bearer")
        expires_in = _seconds(members.get("expires_in"))
        if expires_in is not None:
            expires_in = max(expires_in, 0)
        return cls(
            access_token=_visible(members, "access_token"),
            refresh_token=(
                _visible(members, "refresh_token")
                if members.get("refresh_token")
                else refresh_token
            ),
            expires_at=None if expires_in is None else asked_at + expires_in,
            expires_in=expires_in,
            scope=_scope(members.get("scope")) or scope,
            others=_others(members),
        )

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Token:
        """A saved token: from :meth:`as_dict`, or from a different OAuth library.

        An ``expires_in`` without an ``expires_at`` is ignored: the start is unknown.

        :raises ValueError: if there is no ``access_token``, or a member has a wrong type.
        """
        expires_at = saved.get("expires_at")
        if expires_at is not None and _seconds(expires_at) is None:
            raise ValueError("its expires_at is not a number of seconds")
        return cls(
            access_token=_visible(saved, "access_token"),
            refresh_token=_visible(saved, "refresh_token") if saved.get("refresh_token") else None,
            expires_at=_seconds(expires_at),
            expires_in=_seconds(saved.get("expires_in")) if expires_at is not None else None,
            scope=_scope(saved.get("scope")),
            others=_others(saved),
        )

    def as_dict(self) -> dict[str, Any]:
        """The members as OAuth2Session and oauthlib name them; a new dict each time."""
        members = self.as_secret_dict()
        secrets = {name: str(members[name]) for name in _SECRETS if name in members}
        return {**members, **_each_text(self.others, str), **secrets}

    def as_secret_dict(self) -> dict[str, Any]:
        """As :meth:`as_dict`, but a traceback does not show the tokens."""
        members = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": _plain(self.expires_in),
            "expires_at": self.expires_at,
            "refresh_token": self.refresh_token,
            "scope": list(self.scope) if self.scope else None,
        }
        return {**self.others, **{name: v for name, v in members.items() if v is not None}}

    @property
    def bearer(self) -> Bearer:
        return Bearer(f"Bearer {self.access_token}")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.access_token)

    @property
    def expiring_at(self) -> float:
        """When an early renewal begins, in seconds since the epoch."""
        if self.expires_at is None:
            return math.inf
        return self.expires_at - min(EXPIRING_AT_MOST, EXPIRING_SHARE * self._lifetime)

    def expired_at(self, leeway: float) -> float:
        """When the token must not be used any more, `leeway` early; in seconds since the epoch."""
        if self.expires_at is None:
            return math.inf
        return self.expires_at - min(leeway, LEEWAY_SHARE * self._lifetime)

    @property
    def _lifetime(self) -> float:
        return math.inf if self.expires_in is None else max(self.expires_in, 0)


def _visible(members: Mapping[str, Any], name: str) -> Secret:
    value = members.get(name)
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError(f"it has no {name} made of visible ASCII characters")
    return Secret(value)


def _seconds(value: object) -> float | None:
    """A number of seconds, also from "3600" and "3600.0"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _plain(seconds: float | None) -> float | int | None:
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def _scope(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return tuple(value)
    return None


def _others(members: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in members.items() if name not in _KNOWN}
    try:
        found: dict[str, Any] = _each_text(others, Secret)
    except RecursionError:  # nested too deep for any store, too
        return {}
    return found


def _each_text(value: Any, kind: Callable[[str], str]) -> Any:
    """A copy of a JSON value with each text as `kind`."""
    if isinstance(value, str):
        return kind(value)
    if isinstance(value, Mapping):
        return {name: _each_text(item, kind) for name, item in value.items()}
    return [_each_text(item, kind) for item in value] if isinstance(value, list) else value
