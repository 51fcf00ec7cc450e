"""Types for annotations: the dicts of a session, and the arguments of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from requests import _types as _t


class _AccessToken(TypedDict):
    access_token: str
    token_type: str


class TokenDict(_AccessToken, total=False):
    """A token as a dict of plain data: :attr:`IrisSession.token`.

    The members are named as in RFC 6749 section 5.1. ``expires_in`` is the lifetime in seconds,
    ``expires_at`` the end of the lifetime in seconds since the epoch. The token endpoint may omit
    the optional members, and may send further members.
    """

    expires_in: float
    expires_at: float
    refresh_token: str
    scope: list[str]


class ResumePoint(TypedDict):
    """Where to continue a list: :attr:`Walk.resume`, and the argument ``resume`` of ``items``.

    A resume point can be saved as JSON. All members are private to this library, depend on the
    pagination style, and must come back unchanged.
    """

    list: str


class Counters(TypedDict):
    """The work of a session so far: :attr:`IrisSession.counters`."""

    password: int
    refresh_token: int
    client_credentials: int
    tokens: int
    replays: int
    waits: int


if TYPE_CHECKING:
    # requests has the base classes for type checkers only

    class _OurArguments(TypedDict, total=False):
        withhold_token: bool
        idempotent: bool

    class RequestArguments(_t.RequestKwargs, _OurArguments, total=False):
        """The keyword arguments of ``request``, ``options``, ``head`` and ``delete``."""

    class GetArguments(_t.GetKwargs, _OurArguments, total=False):
        """The keyword arguments of ``get``."""

    class PostArguments(_t.PostKwargs, _OurArguments, total=False):
        """The keyword arguments of ``post``."""

    class DataArguments(_t.DataKwargs, _OurArguments, total=False):
        """The keyword arguments of ``put`` and ``patch``."""
