"""How requests travel to the hosts of IRIS: retries, the pool of connections, TLS.

To any other host, and with each of these switched off, they travel as in requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ConnectionError
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import Retry

from .body import position_of, rewound
from .clock import Clock
from .errors import SettingError
from .hosts import may_see_token, origins_of
from .retry import Again, after_error, after_response, retry_of
from .tls import SharedContexts, TlsFiles

if TYPE_CHECKING:
    from requests import _types as _t

log = logging.getLogger("requests_iris")

#: Connections that are kept for each host: one for each thread of a large pool.
POOL_MAXSIZE = 128

#: Whether the call under way in this thread may be repeated, whatever its method says.
idempotent_call: ContextVar[bool] = ContextVar("requests_iris_idempotent_call", default=False)


class IrisAdapter(HTTPAdapter):
    """requests' adapter, with retries for the API hosts, and for these and the token host a larger
    pool and shared TLS contexts.

    Threads may share it as they share requests' own: all that changes is in the pools, and in the
    contexts, which have a lock.

    :param origins: the API hosts, of :func:`origins_of`.
    :param token_url: the token endpoint. Its requests are repeated elsewhere, if at all.
    :param sign_anew: called with a request that is about to be repeated.
    :param retry: a urllib3 ``Retry``, the number of repetitions, 0 or False for none; None is
        :data:`DEFAULT_RETRY`.
    :param pool_maxsize: how many connections are kept for each of the hosts.
    :raises SettingError: for a `retry` or a `pool_maxsize` that cannot be right.
    """

    __attrs__ = [  # noqa: RUF012
        *HTTPAdapter.__attrs__,
        *("_api", "_known", "_token_url", "_sign_anew", "_retry", "_maxsize", "_clock"),
    ]

    def __init__(
        self,
        *,
        origins: frozenset[str],
        token_url: str,
        sign_anew: Callable[[PreparedRequest], object],
        retry: Retry | int | None = None,
        pool_maxsize: int = POOL_MAXSIZE,
        clock: Clock | None = None,
    ) -> None:
        self._api = origins
        self._known = origins | origins_of([token_url], setting="token_url")
        self._token_url = _as_sent(token_url)
        self._sign_anew = sign_anew
        self._retry = retry_of(retry)
        self._maxsize = _checked_maxsize(pool_maxsize)
        self._clock = clock or Clock()
        self._contexts = SharedContexts()
        super().__init__()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._contexts = SharedContexts()
        super().__setstate__(state)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: _t.TimeoutType = None,
        verify: _t.VerifyType = True,
        cert: _t.CertType = None,
        proxies: dict[str, str] | None = None,
    ) -> Response:
        """As in requests; to an API host it is sent again where the policy says so.

        1. A whole reply, or an error, of one attempt. A body that is not streamed is read here, as
           a connection may be dropped in the middle of it.
        2. If the policy, or the body of the request, does not allow another, that is the result.
        3. Else it waits as long as the server says, or the policy,
        4. and has the request signed anew, since a token may be over by then.

        If the last attempt fails, the error is that of the first, as requests would raise it.
        """
        once = partial(super().send, request, stream, timeout, verify, cert, proxies)
        repeated = self._retry.total != 0 and may_see_token(request.url or "", self._api)
        if not repeated or request.url == self._token_url:
            return once()
        retries = self._retry.new(allowed_methods=None) if idempotent_call.get() else self._retry
        method, position = request.method or "", position_of(request.body)
        errors: list[Exception] = []
        while True:
            try:
                response = once() if stream else _read(once())
            except (ConnectionError, ChunkedEncodingError) as error:
                errors.append(error)
                again = after_error(retries, method, error)
                if again is None or not rewound(request.body, position):
                    raise errors.pop(0)  # noqa: B904 - the last one is its context
            else:
                again = after_response(retries, method, response)
                if again is None or not rewound(request.body, position):
                    return _with_history(response, retries)
                response.raw.drain_conn()
            retries = again.retries
            self._wait(again, request)
            self._sign_anew(request)

    def _wait(self, again: Again, request: PreparedRequest) -> None:
        log.warning(
            "%s %s %s; trying again in %.1f s (repetition %d)",
            request.method,
            (request.url or "").partition("#")[0].partition("?")[0],
            again.reason,
            again.wait,
            len(again.retries.history),
        )
        self._clock.sleep(again.wait)

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: _t.VerifyType, cert: _t.CertType = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in requests; the pools of our hosts are larger."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if may_see_token(request.url or "", self._known):
            pool["maxsize"] = self._maxsize
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: _t.VerifyType, cert: _t.CertType) -> None:
        """As in requests, which tells the pool `conn` what files each new connection shall load.

        For our hosts they get a context that has loaded them. A proxy that is itself reached by TLS
        needs the files.
        """
        if not self._shares_tls(conn, url):
            super().cert_verify(conn, url, verify, cert)
            return
        # up to requests 2.32.4 True names no file, as a context for it was kept elsewhere
        setting = (DEFAULT_CA_BUNDLE_PATH if verify is True else verify, cert)
        held = self._contexts.find(setting)
        if held is None:
            files = TlsFiles()
            super().cert_verify(files, url, *setting)
            try:
                held = self._contexts.make(setting, files)
            except Exception:  # requests says what is wrong with the files, when it connects
                conn.conn_kw.pop("ssl_context", None)
                vars(conn).update(vars(files))
                return
        conn.conn_kw["ssl_context"] = held.context
        vars(conn).update(vars(TlsFiles(cert_reqs=held.files.cert_reqs)))

    def _shares_tls(self, conn: Any, url: str) -> bool:
        if conn.scheme != "https" or not may_see_token(url, self._known):
            return False
        return conn.proxy is None or conn.proxy.scheme != "https"


def _as_sent(url: str) -> str:
    """A URL as requests writes it."""
    request = PreparedRequest()
    request.prepare_url(url, None)
    return request.url or ""


def _read(response: Response) -> Response:
    if not response.is_redirect:  # requests forgives those a body that cannot be decoded
        _ = response.content
    return response


def _with_history(response: Response, retries: Retry) -> Response:
    """``response.raw.retries.history`` tells of the repetitions, as it does in urllib3."""
    if retries.history:
        response.raw.retries = retries
    return response


def _checked_maxsize(pool_maxsize: int) -> int:
    if not isinstance(pool_maxsize, int) or pool_maxsize < 1:
        raise SettingError(
            f"pool_maxsize must be 1 connection or more, not {pool_maxsize!r}",
            setting="pool_maxsize",
        )
    return pool_maxsize
