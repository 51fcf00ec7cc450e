"""Signing a request, and replaying it once when the token was not accepted.

What is to be known of a request or a response, and stands nowhere in it, is a mark on it. Only this
module reads and writes them:

* headers of the class `_Unsigned`: the request must not be signed;
* ``_iris_made_here``: the request was made by a session, and nobody else holds it yet;
* ``_iris_signer``: which source the token on the request comes from;
* ``_iris_rejected``: the 401 after which the response came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict

from .body import position_of, rewound
from .discard import discard
from .hosts import may_see_token
from .secret import Bearer
from .source import TokenSource
from .token_endpoint import Send

#: Sends a request once more, with the settings that a response hook is given.
Resend = Callable[..., Response]


def takes_token(request: PreparedRequest) -> bool:
    """Whether a request to an allowed host may be signed: nobody else has, or forbids it.

    A signature of ours, of an earlier sending, does not count: it is replaced.
    """
    headers = request.headers
    if not isinstance(headers, CaseInsensitiveDict):  # a plain dict that somebody has put there
        headers = CaseInsensitiveDict(headers)
    own = "Authorization" in headers and not signature_of(request)
    return not (own or isinstance(headers, _Unsigned))


class _Unsigned(CaseInsensitiveDict["str | bytes"]):
    """The headers of a request that must not be signed, for a reason that they do not show.

    They carry the mark, since `PreparedRequest.copy` takes along its headers, and no attribute.
    """

    def copy(self) -> _Unsigned:
        return _Unsigned(self.items())


def withhold_token(request: PreparedRequest) -> PreparedRequest:
    """Marks a request, and with it all copies, as one that must not be signed."""
    request.headers = _Unsigned(request.headers)
    return request


def made_here(request: PreparedRequest) -> PreparedRequest:
    """An ``auth=`` for requests that a session makes itself, so that nobody else holds them.

    Being there, it keeps requests from looking into netrc.
    """
    request._iris_made_here = True  # type: ignore[attr-defined]
    return request


def is_unshared(request: PreparedRequest) -> bool:
    """Whether it was made here and nobody else holds it: so it is once, when it is first sent."""
    return bool(vars(request).pop("_iris_made_here", False))


def copy_of(request: PreparedRequest) -> PreparedRequest:
    """A copy with headers of its own.

    A shallow copy, as `request.copy` copies the cookies too, and not by `copy.copy`, which takes
    the way of pickles at five times the price.
    """
    kind = type(request)  # a caller's own may write its URL in another way
    copied = kind.__new__(kind)
    # one that was put together by hand may have none
    headers = CaseInsensitiveDict() if request.headers is None else request.headers.copy()
    vars(copied).update(vars(request), headers=headers)
    return copied


def sign(request: PreparedRequest, source: TokenSource, send: Send) -> None:
    """Puts a token of `source` on a request.

    :raises TokenError: as :meth:`TokenSource.bearer` does, among others.
    """
    request.headers["Authorization"] = source.bearer(send)
    # by its id: a request is pickled, and must take no secrets along
    request._iris_signer = id(source)  # type: ignore[attr-defined]


def is_signed_by(source: TokenSource, request: PreparedRequest) -> bool:
    """Whether a request has a token of `source` on it, and not that of another session."""
    return signature_of(request) is not None and vars(request).get("_iris_signer") == id(source)


def unsigned(request: PreparedRequest) -> PreparedRequest:
    """`request`; or a copy without our signature, if it has one of an earlier sending.

    A caller may have given it another URL since, or a proxy that would see it.
    """
    if signature_of(request) is None or not takes_token(request):
        return request
    copied = copy_of(request)
    del copied.headers["Authorization"]
    return copied


def signature_of(request: PreparedRequest) -> Bearer | None:
    """The ``Authorization`` header of a request, if it is one of ours."""
    # a request put together by hand may have no headers
    value = request.headers.get("Authorization") if request.headers else None
    return value if isinstance(value, Bearer) else None


def replayed(
    response: Response,
    position: int | None,
    source: TokenSource,
    send: Send,
    resend: Resend,
    **send_settings: Any,
) -> Response:
    """After a 401 to a request with our token: renews the token and sends the request once more.

    A body that cannot be rewound is not sent again, and a second 401 is final: then the caller gets
    the 401. The first one stays in the ``history`` of the second response. A token that comes from
    a store does not count: it may have been revoked long ago.

    :param position: of :func:`position_of`, taken before the request was sent.
    """
    bearer = signature_of(response.request)
    if bearer is None:
        return response
    source.reject(bearer)
    if not rewound(response.request.body, position):
        return response
    discard(response)  # before a renewal that may fail
    renewed = source.bearer(send)
    source.count("replays")
    request = _answered_by(response)
    request.headers["Authorization"] = renewed
    start = time.perf_counter()
    again = resend(request, **send_settings)
    again.elapsed = timedelta(seconds=time.perf_counter() - start)
    _conceal_token(response)
    again.history.append(response)
    again.request = request
    again._iris_rejected = response  # type: ignore[attr-defined]
    if again.status_code == 401 and source.is_from_store(renewed):
        return replayed(again, position, source, send, resend, **send_settings)
    return again


def _answered_by(response: Response) -> PreparedRequest:
    """A copy of the request, with the cookies that the response has set."""
    request = copy_of(response.request)
    cookies = request.copy()._cookies
    if cookies is not None:  # None: a request put together by hand
        extract_cookies_to_jar(cookies, response.request, response.raw)
        request.prepare_cookies(cookies)
    return request


def with_rejected(response: Response) -> Response:
    """Puts the 401s back into a history that requests has written anew for redirects.

    A history shows no tokens: requests-cache stores it as it is.
    """
    history: list[Response] = []
    for hop in (*response.history, response):
        rejected = getattr(hop, "_iris_rejected", None)
        if rejected is not None and rejected not in history:
            history.append(rejected)
        history.append(hop)
    response.history = history[:-1]
    for hop in response.history:
        _conceal_token(hop)
    return response


def _conceal_token(response: Response) -> None:
    """Leaves only the fingerprint of the token it was asked for with, as pickling does.

    In a copy of the request: others may have kept that one, such as a mock.
    """
    bearer = signature_of(response.request)
    if bearer:
        response.request = copy_of(response.request)
        response.request.headers["Authorization"] = bearer.redacted


class _Replay:
    """The response hook of :class:`BearerAuth`."""

    def __init__(self, source: TokenSource, send: Send, position: int | None) -> None:
        self._source = source
        self._send = send
        self._position = position

    def __call__(self, response: Response, **send_settings: Any) -> Response:
        connection = getattr(response, "connection", None)  # a reply out of a cache has none
        if response.status_code != 401 or connection is None:
            return response
        parts = self._source, self._send, connection.send
        return replayed(response, self._position, *parts, **send_settings)

    def __reduce__(self) -> Any:
        # a Response is pickled with its request and the hooks of that; a session is not to go along
        return (_NoReplay, ())


class _NoReplay:
    """What a :class:`_Replay` is after pickling: a response hook that changes nothing."""

    def __call__(self, response: Response, **_: Any) -> Response:
        return response


class BearerAuth(AuthBase):
    """``auth=`` for libraries that take no session: signs, renews and replays as the session does.

    A request to a host that is not allowed is left as it is. requests itself takes the header away
    on a redirect to another host. Threads may share it, as they share the session's tokens.
    """

    def __init__(self, source: TokenSource, send: Send, origins: frozenset[str]) -> None:
        self._source = source
        self._send = send
        self._origins = origins

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if may_see_token(r.url or "", self._origins):
            r.headers["Authorization"] = self._source.bearer(self._send)
            r.register_hook("response", _Replay(self._source, self._send, position_of(r.body)))
        return r
