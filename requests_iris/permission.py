"""Who may see the token.

:func:`decide` is the rule: one pure function. ``Signer`` in auth.py is the only caller, and asks
about the very request of the next send. The other functions read the facts for the rule from a
request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy

from .hosts import is_plain_http, may_see_token
from .secret import Bearer

#: The name of the header, as text and as bytes.
_AUTHORIZATION = ("authorization", b"authorization")
_SHORTEST = len("authorization")


class Verdict(Enum):
    """What the session does with a request before the send."""

    SIGN = "the session sets the token"
    LEAVE = "the session sends the request unchanged"
    STRIP = "the session removes the token of an earlier send"


def decide(
    url: str,
    authorization: Iterable[object],
    *,
    origins: frozenset[str],
    withheld: bool,
    proxies: Mapping[str, str] | None,
) -> Verdict:
    """Decides whether a request may carry the token.

    A request carries the token only if all three hold: the request goes to an allowed host over
    HTTPS; the caller set no authentication; no other host redirected to the request. Plain HTTP is
    accepted for an allowed loopback address, and only without a proxy, because a proxy could read
    the token.

    :param url: the URL of the request.
    :param authorization: the values of all ``Authorization`` headers of the request.
    :param origins: the allowed hosts, from :func:`origins_of`.
    :param withheld: whether the request has the mark of :func:`withhold`: the caller set an
        authentication without a header, or another host redirected to the request.
    :param proxies: the proxies of the request, as in requests.
    """
    if withheld:
        return Verdict.LEAVE
    is_token = [isinstance(value, Bearer) for value in authorization]
    is_safe = may_see_token(url, origins) and not _is_overheard(url, proxies)
    if is_safe and all(is_token):
        return Verdict.SIGN
    return Verdict.STRIP if any(is_token) else Verdict.LEAVE


def _is_overheard(url: str, proxies: Mapping[str, str] | None) -> bool:
    # not about a copy: the adapter looks into this very mapping, which may ignore case
    return is_plain_http(url) and select_proxy(url, proxies) is not None  # type: ignore[arg-type]


class _Withheld(CaseInsensitiveDict["str | bytes"]):
    """The headers of a marked request: see :func:`withhold`.

    The class of the headers is the mark, because ``PreparedRequest.copy`` copies headers and drops
    unknown attributes.
    """

    def copy(self) -> _Withheld:
        return _Withheld(self.items())


def withhold(request: PreparedRequest) -> PreparedRequest:
    """Marks a request and its copies: the session must not sign them."""
    request.headers = _Withheld(request.headers or {})
    # `PreparedRequest.prepare` gives the same request new headers
    request._iris_withheld = True  # type: ignore[attr-defined]
    return request


def is_withheld(request: Any) -> bool:
    """Whether a request, or the request behind its headers, has the mark of :func:`withhold`."""
    return isinstance(request.headers, _Withheld) or getattr(request, "_iris_withheld", False)


def authorization_of(headers: Mapping[Any, Any] | None) -> dict[str | bytes, object]:
    """All ``Authorization`` headers in `headers`, by name.

    A caller may spell the name as bytes, in lower case in a plain dict, or with a space.
    """
    if not headers:
        return {}
    # the length first: this runs for each header of each request
    return {
        name: headers[name]
        for name in headers
        if len(name) >= _SHORTEST and name.strip().lower() in _AUTHORIZATION
    }


def token_on(request: PreparedRequest | None) -> Bearer | None:
    """The token on `request` from a session of this library, if any.

    :param request: None for a response without a request, from an adapter of a caller.
    """
    for value in authorization_of(request.headers if request else None).values():
        if isinstance(value, Bearer):
            return value
    return None


def remove_tokens(headers: Any) -> None:
    """Removes all tokens of this library from `headers`. Headers of the caller stay."""
    found = authorization_of(headers)
    if found:
        remove([name for name, value in found.items() if isinstance(value, Bearer)], headers)


def remove(names: Iterable[str | bytes], headers: Any) -> None:
    """Removes headers by name."""
    for name in names:
        del headers[name]


def without_tokens(authorization: Mapping[Any, object]) -> dict[Any, object]:
    """The caller's headers among the headers from :func:`authorization_of`."""
    return {name: each for name, each in authorization.items() if not isinstance(each, Bearer)}
