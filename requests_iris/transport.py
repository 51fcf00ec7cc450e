"""The adapter: how requests travel to the hosts of IRIS. Retries, connection pools, TLS contexts.

Requests to other hosts travel as with plain requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ConnectionError, InvalidProxyURL
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.util import Retry, parse_url

from .body import position_of, rewound
from .clock import Clock
from .connection import share_contexts
from .discard import discard
from .errors import SettingError
from .hosts import host_of, may_see_token, origins_of
from .options import current_options
from .quota import IRIS_RATE_LIMITS, RateLimit
from .retry import NextTry, after_error, after_response, longest_window, retry_of
from .slots import NO_SLOT, NoSlot, Slot, taken

if TYPE_CHECKING:
    from requests import _types as _t

log = logging.getLogger("requests_iris")

#: Open connections per host, enough for each thread of a large thread pool.
POOL_MAXSIZE = 128

#: Attributes of the adapter in a copy or a pickle.
_STATE = (
    *("_api", "_known", "_token_url", "_sign_anew", "_retry", "_maxsize", "_limits", "_clock"),
)


class IrisAdapter(HTTPAdapter):
    """requests' adapter with retries for the API hosts. Connections to the API hosts and the token
    host have a larger pool and share TLS contexts.

    The adapter calls requests and urllib3 exactly as requests and urllib3 call themselves, and
    passes every argument on unchanged. The following has the same effect as with a plain
    ``requests.Session``:

    * ``HTTPAdapter.send(request, stream=…, timeout=…, verify=…, cert=…, proxies=…)`` replaced, and
      ``cert_verify``, ``init_poolmanager``, ``get_connection_with_tls_context``,
      ``build_connection_pool_key_attributes`` or ``proxy_manager_for`` replaced, wrapped or
      overridden;
    * an ``ssl_context`` or another TLS setting of a pool or of a connection;
    * a ``Retry`` subclass with its own methods. The adapter calls ``is_retry(method, status,
      has_retry_after)``, ``increment(method, url, response=… | error=…, _pool=…)`` and ``sleep`` as
      ``urlopen`` of urllib3 does. If the policy does not replace ``sleep``, ``sleep_for_retry`` or
      ``_sleep_backoff``, the adapter waits on its clock.

    Threads may share the adapter, because a call of :meth:`send` has only local state and urllib3's
    pools are thread-safe.

    :param origins: the API hosts, from :func:`origins_of`.
    :param token_url: the token endpoint, whose requests are not retried here.
    :param sign_anew: called with a request before each retry, because the token may have expired.
    :param retry: a urllib3 ``Retry``, the number of retries, or 0 or False for no retries. None
        means :data:`DEFAULT_RETRY`.
    :param pool_maxsize: open connections per host.
    :param limits: the rate limits of the API hosts. If a path has a limit with a window longer than
        ``backoff_max`` of the policy, a 429 is hardly ever retried: see :func:`after_response`.
    :param clock: the clock for pauses.
    :raises SettingError: if `retry` or `pool_maxsize` is not possible.
    """

    def __init__(
        self,
        *,
        origins: frozenset[str],
        token_url: str,
        sign_anew: Callable[[PreparedRequest], object],
        retry: Retry | int | None = None,
        pool_maxsize: int = POOL_MAXSIZE,
        limits: Sequence[RateLimit] = IRIS_RATE_LIMITS,
        clock: Clock | None = None,
    ) -> None:
        self._api = origins
        self._known = origins | origins_of([token_url], setting="token_url")
        self._token_url = _as_sent(token_url)
        self._sign_anew = sign_anew
        self._retry = retry_of(retry)
        self._maxsize = checked_maxsize(pool_maxsize)
        self._limits = limits
        self._clock = clock or Clock()
        super().__init__()

    def __getstate__(self) -> dict[str, Any]:
        # `__attrs__` would be hidden by the `__attrs__` of another adapter class that is mixed in
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _STATE}}

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: _t.TimeoutType = None,
        verify: _t.VerifyType = True,
        cert: _t.CertType = None,
        proxies: dict[str, str] | None = None,
    ) -> Response:
        """As in requests. A request to an API host is retried if the policy says so.

        1. Send the request. Unless the call is streamed, read the body of a response that will be
           returned, because the connection may be dropped in the middle of the body.
        2. If the policy, the body of the request or the quota allows no retry, return the response
           or raise the error.
        3. Discard the response and wait as long as the server or the policy says.
        4. Sign the request again, because the token may have expired meanwhile. Go to 1.

        If the last attempt fails, the call raises the error of the first attempt, with the last
        error as context.
        """
        tls: dict[str, Any] = {"verify": verify, "cert": cert, "proxies": proxies}
        slot = taken()
        send = partial(super().send, request, stream=stream, timeout=timeout, **tls)
        once = send if slot is NO_SLOT else partial(slot.settled_by, send)
        if not self._is_retried(request):
            return once()
        target = partial(self._target, request, **tls)
        is_repeatable = current_options.get().idempotent
        retries = self._retry.new(allowed_methods=None) if is_repeatable else self._retry
        method, position = request.method or "", position_of(request.body)
        errors: list[Exception] = []
        while True:
            try:
                response = once()
                window = self._window(request) if response.status_code == 429 else 0.0
                next_try = after_response(retries, method, response, target, window=window)
                if next_try is None and not stream:
                    _read(response)
            except (ConnectionError, ChunkedEncodingError) as error:
                errors.append(error)
                next_try = after_error(retries, method, error, target)
                if next_try is None or not self._can_retry(request, position, slot):
                    raise errors.pop(0)  # noqa: B904 - the last error is its context
            else:
                if next_try is None or not self._can_retry(request, position, slot):
                    return _with_history(response, retries)
                discard(response)
            retries = next_try.retries
            self._wait_and_sign(next_try, request, slot)

    def _is_retried(self, request: PreparedRequest) -> bool:
        url = request.url or ""
        to_api = may_see_token(url, self._api) and url != self._token_url
        return to_api and self._retry.total != 0

    def _window(self, request: PreparedRequest) -> float:
        return longest_window(self._limits, request.method or "", request.url or "")

    def _can_retry(
        self, request: PreparedRequest, position: int | None, slot: Slot | NoSlot
    ) -> bool:
        """The last question before a retry, while there is still a response or an error to return.

        The slot of the retry is reserved here, and no retry is made without a slot.
        """
        return rewound(request.body, position) and slot.again()

    def _wait_and_sign(
        self, next_try: NextTry, request: PreparedRequest, slot: Slot | NoSlot
    ) -> None:
        """The pause before a retry, shortened by the wait for the slot, and a current token."""
        try:
            self._pause(next_try.after(slot.waited), request)
            self._sign_anew(request)
        except BaseException:
            slot.give_back()
            raise

    def _target(self, request: PreparedRequest, *, proxies: Any, **tls: Any) -> tuple[str, Any]:
        pool = self.get_connection_with_tls_context(request, proxies=proxies, **tls)
        return self.request_url(request, proxies), pool

    def _pause(self, next_try: NextTry, request: PreparedRequest) -> None:
        url = (request.url or "").partition("#")[0].partition("?")[0]
        number = len(next_try.retries.history)
        pause = "its policy's pause" if next_try.wait is None else f"{next_try.wait:.1f} s"
        log.warning(
            "%s %s %s; retry %d after %s", request.method, url, next_try.reason, number, pause
        )
        next_try.pause(self._clock)

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: _t.VerifyType,
        proxies: dict[str, str] | None = None,
        cert: _t.CertType = None,
    ) -> Any:
        """As in requests, but the error for an unreadable proxy does not show the password."""
        if proxies:
            _check_proxy(request, proxies)
        return super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: _t.VerifyType, cert: _t.CertType = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in requests. The connection pools of the API hosts and the token host are larger."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if may_see_token(request.url or "", self._known):
            pool.setdefault("maxsize", self._maxsize)
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: _t.VerifyType, cert: _t.CertType) -> None:
        """As in requests. Connections to the API hosts and the token host share TLS contexts."""
        super().cert_verify(conn, url, verify, cert)
        if may_see_token(url, self._known):
            share_contexts(conn)


def _check_proxy(request: PreparedRequest, proxies: dict[str, str]) -> None:
    """:raises InvalidProxyURL: if requests cannot read the URL of the proxy for `request`.

    The errors of requests and urllib3 show the part of the URL that they cannot read, often a part
    of the password.
    """
    url = request.url or ""
    proxy = select_proxy(url, proxies)
    if proxy and not _is_readable(proxy):
        raise InvalidProxyURL(
            f"The URL of the proxy for {host_of(url)} is malformed. Percent-encode special "
            "characters in the user and the password, such as %23 for #",
            request=request,
        )


def _is_readable(proxy: str) -> bool:
    try:
        url = parse_url(prepend_scheme_if_needed(proxy, "http"))
    except (ValueError, TypeError):  # urllib3's LocationParseError is a ValueError
        return False
    # an "@" after the host means that the password has a "/", "?" or "#"
    return url.host is not None and "@" not in f"{url.path}{url.query}{url.fragment}"


def _as_sent(url: str) -> str:
    """A URL in the spelling of requests."""
    request = PreparedRequest()
    request.prepare_url(url, None)
    return request.url or ""


def _read(response: Response) -> None:
    # requests accepts a redirect with a body that cannot be decoded. After a 401 the session may
    # resend, and discards the body.
    if not response.is_redirect and response.status_code != 401:
        _ = response.content


def _with_history(response: Response, retries: Retry) -> Response:
    """``response.raw.retries.history`` lists the retries, as in urllib3."""
    if retries.history:
        response.raw.retries = retries
    return response


def checked_maxsize(pool_maxsize: Any) -> int:
    """:raises SettingError: for a value that is no positive whole number."""
    is_number = isinstance(pool_maxsize, int) and not isinstance(pool_maxsize, bool)
    if not is_number or pool_maxsize < 1:
        raise SettingError(
            f"pool_maxsize must be 1 connection or more, not {pool_maxsize!r}",
            setting="pool_maxsize",
        )
    return int(pool_maxsize)
